// What operators do with GPU classes, organizations, projects and keys.
#pragma once

#include "client/command.h"

namespace mesclun::client {

Task<Result<>> list_gpu_classes(Session& session);
Task<Result<>> add_gpu_class(Session& session, std::string name, std::string price);
Task<Result<>> remove_gpu_class(Session& session, std::string name);

struct QuotaChange {
  std::optional<int64_t> replicas;
  // A minute, through the API.
  std::optional<int64_t> reallocations;
  std::optional<int64_t> recreates;
  std::optional<int64_t> restarts;
};

Task<Result<>> create_organization(Session& session, std::string name, std::string display_name);
Task<Result<>> list_organizations(Session& session);
Task<Result<>> get_organization(Session& session, std::string name);
// Shows the quotas; changes them first if the change says anything.
Task<Result<>> organization_quota(Session& session, std::string name, QuotaChange change);

Task<Result<>> create_project(Session& session, std::string name);
Task<Result<>> list_projects(Session& session);

Task<Result<>> create_key(Session& session, std::string user,
                          std::vector<std::string> organizations);
Task<Result<>> list_keys(Session& session);
Task<Result<>> delete_key(Session& session, std::string id);

}  // namespace mesclun::client
