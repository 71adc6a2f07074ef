// The versions that a group had: what differed, and how a former one comes back.
#pragma once

#include "cloud/fleet_state.h"
#include "store/database.h"

namespace mesclun::cloud {

// What differs, as paths of members, without their values, which may be secrets:
// "container.command, container.environment_variables.DEBUG". One line, cut when it is long.
std::string changes_between(const api::GroupSpec& old, const api::GroupSpec& now);

// `former` with what belongs to no version (replicas, scaling, display name, gateway settings but the
// port) as it is now.
api::GroupSpec bring_back(api::GroupSpec former, const api::GroupSpec& now);

// Those that are kept, the newest first.
Result<std::vector<GroupVersion>> load_versions(store::Transaction& tx,
                                                const std::string& group_id);
// Replaces nothing that is kept; of the group only the newest `kept` stay.
Result<> save_version(store::Transaction& tx, const GroupVersion& version, int32_t kept);
Result<> forget_versions(store::Transaction& tx, const std::string& group_id);

}  // namespace mesclun::cloud
