// Container groups (api.md §3, operations 1 to 8).
#pragma once

#include "cloud/accounts.h"
#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Errors:   as the contract has them for each operation; they become problems in PublicApi.
// Lifetime: all that the constructor gets outlives it.
class ContainerGroupEndpoint {
 public:
  ContainerGroupEndpoint(store::Database& database, const Accounts& accounts, FleetLoop& loop)
      : database_(database), accounts_(accounts), loop_(loop) {}

  // `target.rest` is containers[/NAME[/start|stop|system-logs]].
  Answer handle(HttpRequest request, ApiTarget target);

 private:
  Answer list(ProjectIdentity project, std::string user_agent);
  Answer create(HttpRequest request, ProjectIdentity project);
  Answer get(HttpRequest request, ProjectIdentity project, std::string name);
  Answer patch(HttpRequest request, ProjectIdentity project, std::string name);
  Answer remove(HttpRequest request, ProjectIdentity project, std::string name);
  Answer act(HttpRequest request, ProjectIdentity project, std::string name, std::string action);
  Answer system_logs(ProjectIdentity project, std::string name);
  // The group as it is stored now.
  Task<Result<json::object>> document(ProjectIdentity project, std::string name,
                                      std::string user_agent);
  int32_t quota_of(const ProjectIdentity& project) const;

  store::Database& database_;
  const Accounts& accounts_;
  FleetLoop& loop_;
};

}  // namespace mesclun::cloud
