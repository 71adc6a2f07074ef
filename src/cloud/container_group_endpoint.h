// Container groups (api.md §3, operations 1 to 8).
#pragma once

#include "cloud/accounts.h"
#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"
#include "cloud/gpu_classes.h"

namespace mesclun::cloud {

// How far beyond the contract a group may go; a setting of the operator each.
struct SpecLimits {
  int32_t probe_failures_max = 1000;
  size_t command_item_max = 32'768;  // characters
  // Of a spec as it is stored: it travels in one frame.
  size_t group_bytes_max = 2 * 1024 * 1024;
};

// Runs on:  the cloud's loop.
// Errors:   as the contract has them for each operation; they become problems in PublicApi.
// Lifetime: all that the constructor gets outlives it.
class ContainerGroupEndpoint {
 public:
  ContainerGroupEndpoint(store::Database& database, const Accounts& accounts, FleetLoop& loop,
                         const GpuClasses& gpu_classes, SpecLimits limits)
      : database_(database),
        accounts_(accounts),
        loop_(loop),
        gpu_classes_(gpu_classes),
        limits_(limits) {}

  // `target.rest` is containers[/NAME[/start|stop|system-logs|errors]].
  Answer handle(HttpRequest request, ApiTarget target);

 private:
  // A group and its newest events, oldest first.
  struct History {
    Group group;
    std::vector<Event> events;
  };

  Answer list(ProjectIdentity project, std::string user_agent);
  Answer create(HttpRequest request, ProjectIdentity project);
  Answer get(HttpRequest request, ProjectIdentity project, std::string name);
  Answer patch(HttpRequest request, ProjectIdentity project, std::string name);
  Answer remove(HttpRequest request, ProjectIdentity project, std::string name);
  Answer act(HttpRequest request, ProjectIdentity project, std::string name, std::string action);
  Answer system_logs(ProjectIdentity project, std::string name);
  Answer errors(ProjectIdentity project, std::string name);
  Task<Result<History>> history(ProjectIdentity project, std::string name, int64_t events_max);
  // The group as it is stored now.
  Task<Result<json::object>> document(ProjectIdentity project, std::string name,
                                      std::string user_agent);
  int32_t quota_of(const ProjectIdentity& project) const;
  api::SpecRules rules() const;
  Result<> check_weight(const api::GroupSpec& spec) const;

  store::Database& database_;
  const Accounts& accounts_;
  FleetLoop& loop_;
  const GpuClasses& gpu_classes_;
  const SpecLimits limits_;
};

}  // namespace mesclun::cloud
