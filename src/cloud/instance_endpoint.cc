#include "cloud/instance_endpoint.h"

#include <fmt/format.h>

#include "cloud/fleet_views.h"

namespace mesclun::cloud {

namespace {

// What one of the actions is called in the wish of a replica; nothing for reallocate.
std::optional<link::RunAction> run_action_of(const std::string& action) {
  if (action == "restart") return link::RunAction::Restart;
  if (action == "recreate") return link::RunAction::Recreate;
  return std::nullopt;
}

json::value instance_document(const Fleet& fleet, const Allocation& allocation, bool strict_go) {
  json::value document = write_json(instance_view(fleet, allocation));
  if (!strict_go) api::add_older_instance_members(document.get_object());
  return document;
}

int32_t per_minute_of(const api::GroupQuotas& quotas, const std::string& action) {
  if (action == "reallocate") return quotas.max_container_group_reallocations_per_minute;
  if (action == "recreate") return quotas.max_container_group_recreates_per_minute;
  return quotas.max_container_group_restarts_per_minute;
}

}  // namespace

Answer InstanceEndpoint::handle(HttpRequest request, ApiTarget target) {
  const std::string method = request.head.method;
  const std::vector<std::string>& path = target.rest;
  Place place{.project = *target.project,
              .group = path[1],
              .strict_go = api::is_strict_go_client(user_agent_of(request))};
  if (path.size() == 3) {
    if (method != "GET") co_return method_not_allowed("GET");
    co_return co_await list(std::move(place));
  }
  place.instance = path[3];
  if (path.size() == 4) {
    if (method == "PATCH") co_return co_await patch(std::move(request), std::move(place));
    if (method == "GET") co_return co_await get(std::move(place));
    co_return method_not_allowed("GET, PATCH");
  }
  const bool known_action = path.size() == 5 && (path[4] == "reallocate" || path[4] == "recreate" ||
                                                 path[4] == "restart");
  if (!known_action) co_return no_such_path();
  if (method != "POST") co_return method_not_allowed("POST");
  co_return co_await act(std::move(request), std::move(place), path[4]);
}

Answer InstanceEndpoint::list(Place place) {
  CO_TRY(
      json::object list,
      co_await loop_.ask<json::object>([place](const Fleet& fleet, Moment) -> Result<json::object> {
        TRY(const Group* group, group_named(fleet, place.project.project_id, place.group));
        json::array items;
        for (const Allocation* allocation : instances_of(fleet, group->id)) {
          items.push_back(instance_document(fleet, *allocation, place.strict_go));
        }
        json::object out;
        out["instances"] = std::move(items);
        return out;
      }));
  co_return json_answer(200, std::move(list));
}

Answer InstanceEndpoint::get(Place place) {
  CO_TRY(json::value view, co_await loop_.ask<json::value>([place](const Fleet& fleet,
                                                                   Moment) -> Result<json::value> {
    TRY(const Group* group, group_named(fleet, place.project.project_id, place.group));
    TRY(const Allocation* found, instance_named(fleet, group->id, place.instance));
    return instance_document(fleet, *found, place.strict_go);
  }));
  co_return json_answer(200, view);
}

Answer InstanceEndpoint::patch(HttpRequest request, Place place) {
  CO_TRY(const json::value document, read_document(request));
  CO_TRY(const std::optional<int32_t> cost, api::read_instance_patch(document));
  FleetLoop::Command command = [place, cost](Fleet& fleet, Moment) -> Result<> {
    TRY(const Group* group, group_named(fleet, place.project.project_id, place.group));
    TRY_DO(instance_named(fleet, group->id, place.instance));
    if (!cost) return {};
    return set_deletion_cost(fleet, group->id, place.instance, *cost);
  };
  CO_TRY_DO(co_await loop_.submit(std::move(command)));
  co_return co_await get(std::move(place));
}

Answer InstanceEndpoint::act(HttpRequest request, Place place, std::string action) {
  CO_TRY_DO(read_no_document(request));
  // An instance that does not exist costs nothing of the quota.
  CO_TRY_DO(co_await loop_.ask<bool>([place](const Fleet& fleet, Moment) -> Result<bool> {
    TRY(const Group* group, group_named(fleet, place.project.project_id, place.group));
    TRY_DO(instance_named(fleet, group->id, place.instance));
    return true;
  }));
  const std::string& organization_id = place.project.organization_id;
  const int32_t per_minute = per_minute_of(accounts_.organization(organization_id)->quotas, action);
  const auto wait =
      actions_.take(organization_id + " " + action, clock_.now(), std::max(per_minute, 1));
  if (wait || per_minute == 0) {
    const Error limited{
        ErrorCode::ResourceExhausted,
        fmt::format("the organization may {} {} instances a minute", action, per_minute)};
    co_return problem_answer(limited, wait.value_or(Duration(1min)));
  }
  FleetLoop::Command command = [place, action](Fleet& fleet, Moment now) -> Result<> {
    TRY(const Group* group, group_named(fleet, place.project.project_id, place.group));
    const auto run = run_action_of(action);
    if (!run) return reallocate(fleet, group->id, place.instance, now);
    return run_again(fleet, group->id, place.instance, *run);
  };
  CO_TRY_DO(co_await loop_.submit(std::move(command)));
  co_return empty_answer(202);
}

}  // namespace mesclun::cloud
