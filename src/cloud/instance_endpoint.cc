// Instances (api.md §3, operations 9 to 14).
#include <fmt/format.h>

#include "api/gpu_class.h"
#include "cloud/public_api.h"

namespace mesclun::cloud {

namespace {

Error no_such_group(std::string_view name) {
  return Error::not_found(fmt::format("no container group '{}'", name.substr(0, 100)));
}
Error no_such_instance(std::string_view id) {
  return Error::not_found(
      fmt::format("no instance '{}'; its id changes with every start", id.substr(0, 100)));
}

}  // namespace

PublicApi::Answer PublicApi::instances(HttpRequest request, Target target) {
  const std::string method = request.head.method;
  const std::vector<std::string>& path = target.rest;  // containers/G/instances/I/action
  const ProjectIdentity project = *target.project;
  if (path.size() == 3) {
    if (method != "GET") co_return method_not_allowed("GET");
    const std::string name = path[1];
    CO_TRY(json::object list,
           co_await ask<json::object>([=](Fleet& fleet, Moment) -> Result<json::object> {
             const Group* group = fleet.find_group(project.project_id, name);
             if (group == nullptr) return no_such_group(name);
             json::array items;
             for (const Allocation* allocation : fleet.instances_of(group->id)) {
               items.push_back(write_json(fleet.instance_view(*allocation)));
             }
             json::object out;
             out["instances"] = std::move(items);
             return out;
           }));
    co_return json_answer(200, std::move(list));
  }
  if (path.size() == 4) {
    if (method == "PATCH") {
      co_return co_await patch_instance(std::move(request), project, path[1], path[3]);
    }
    if (method == "GET") {
      co_return co_await one_instance(std::move(request), project, path[1], path[3]);
    }
    co_return method_not_allowed("GET, PATCH");
  }
  const bool known_action = path.size() == 5 && (path[4] == "reallocate" || path[4] == "recreate" ||
                                                 path[4] == "restart");
  if (!known_action) co_return Error::not_found("there is nothing at this path");
  if (method != "POST") co_return method_not_allowed("POST");
  co_return co_await instance_action(std::move(request), project, path[1], path[3], path[4]);
}

PublicApi::Answer PublicApi::one_instance(HttpRequest, ProjectIdentity project,
                                          std::string group_name, std::string instance) {
  CO_TRY(json::value view,
         co_await ask<json::value>([=](Fleet& fleet, Moment) -> Result<json::value> {
           const Group* group = fleet.find_group(project.project_id, group_name);
           if (group == nullptr) return no_such_group(group_name);
           const Allocation* found = fleet.find_instance(group->id, instance);
           if (found == nullptr) return no_such_instance(instance);
           return write_json(fleet.instance_view(*found));
         }));
  co_return json_answer(200, view);
}

PublicApi::Answer PublicApi::patch_instance(HttpRequest request, ProjectIdentity project,
                                            std::string group_name, std::string instance) {
  CO_TRY(const json::value document, read_document(request));
  CO_TRY(const std::optional<int32_t> cost, api::read_instance_patch(document));
  FleetLoop::Command patch = [=](Fleet& fleet, Moment now) -> Result<> {
    const Group* group = fleet.find_group(project.project_id, group_name);
    if (group == nullptr) return no_such_group(group_name);
    if (fleet.find_instance(group->id, instance) == nullptr) return no_such_instance(instance);
    if (!cost) return {};
    return fleet.set_deletion_cost(group->id, instance, *cost, now);
  };
  CO_TRY_DO(co_await loop_.submit(std::move(patch)));
  co_return co_await one_instance(std::move(request), project, group_name, instance);
}

PublicApi::Answer PublicApi::instance_action(HttpRequest request, ProjectIdentity project,
                                             std::string group_name, std::string instance,
                                             std::string action) {
  CO_TRY_DO(read_no_document(request));
  const Organization* organization = accounts_.organization(project.organization_id);
  const api::GroupQuotas& quotas = organization->quotas;
  const int32_t per_minute =
      action == "reallocate" ? quotas.max_container_group_reallocations_per_minute
      : action == "recreate" ? quotas.max_container_group_recreates_per_minute
                             : quotas.max_container_group_restarts_per_minute;
  // An instance that does not exist costs nothing of the quota.
  CO_TRY(const bool exists, co_await ask<bool>([=](Fleet& fleet, Moment) -> Result<bool> {
           const Group* group = fleet.find_group(project.project_id, group_name);
           if (group == nullptr) return no_such_group(group_name);
           if (fleet.find_instance(group->id, instance) == nullptr)
             return no_such_instance(instance);
           return true;
         }));
  const std::string bucket = project.organization_id + " " + action;
  if (const auto wait = actions_.take(bucket, clock_.now(), std::max(per_minute, 1));
      exists && (wait || per_minute == 0)) {
    const Error limited{
        ErrorCode::ResourceExhausted,
        fmt::format("the organization may {} {} instances a minute", action, per_minute)};
    co_return problem_answer(limited, wait.value_or(Duration(1min)));
  }
  FleetLoop::Command act = [=](Fleet& fleet, Moment now) -> Result<> {
    const Group* group = fleet.find_group(project.project_id, group_name);
    if (group == nullptr) return no_such_group(group_name);
    if (action == "reallocate") return fleet.reallocate(group->id, instance, now);
    const link::RunAction run =
        action == "restart" ? link::RunAction::Restart : link::RunAction::Recreate;
    return fleet.run_again(group->id, instance, run, now);
  };
  CO_TRY_DO(co_await loop_.submit(std::move(act)));
  co_return empty_answer(202);
}

}  // namespace mesclun::cloud
