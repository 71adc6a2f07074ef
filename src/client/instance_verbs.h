// What `mesclun instance …` does.
#pragma once

#include "client/command.h"

namespace mesclun::client {

struct InstanceName {
  std::string group;
  std::string id;  // an instance id, a machine id, or the beginning of one
};

Task<Result<>> list_instances(Session& session, std::string group);
Task<Result<>> get_instance(Session& session, InstanceName name);
// reallocate, recreate or restart.
Task<Result<>> act_on_instance(Session& session, InstanceName name, std::string action);
Task<Result<>> set_deletion_cost(Session& session, InstanceName name, int64_t cost);

// The one instance that `id` means: a full id is taken as it is; the beginning of one is looked up,
// among instance ids first. NotFound for none, InvalidArgument for several.
Result<std::string> choose_instance(const std::vector<InstanceView>& instances,
                                    const std::string& group, const std::string& id);
// The same, asking the cloud only if `id` is not a full one.
Task<Result<std::string>> find_instance(Session& session, std::string group, std::string id);

}  // namespace mesclun::client
