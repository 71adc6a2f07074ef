#include "cloud/insight_endpoint.h"

#include "cloud/fleet_views.h"
#include "cloud/placement_outlook.h"

namespace mesclun::cloud {

namespace {

json::object summary_json(const Fleet& fleet, const Group& group) {
  int64_t ready = 0;
  for (const Allocation* instance : instances_of(fleet, group.id)) {
    if (instance_view(fleet, *instance).ready) ++ready;
  }
  return {{"name", group.spec.name}, {"ready", ready}, {"restarts", group.restarts}};
}

json::object instance_json(const Fleet& fleet, const Allocation& instance) {
  const Node* node = fleet.nodes.find(instance.node_id);
  return {{"instance_id", instance.status.instance_id},
          {"machine_id", instance.node_id},
          {"hostname", node == nullptr ? "" : node->facts.hostname},
          {"silent", node != nullptr && !node->online()}};
}

json::object placement_json(const Fleet& fleet, const Group& group, Moment now) {
  const auto waiting = static_cast<int64_t>(fleet.allocations.waiting_of(group.id).size());
  return {{"waiting", waiting},
          {"may_change", waiting == 0 || placement_may_change(fleet, group, now)},
          {"reason", waiting_reason(fleet, group)}};
}

}  // namespace

Answer InsightEndpoint::handle(HttpRequest request, ApiTarget target) {
  if (request.head.method != "GET") co_return method_not_allowed("GET");
  const std::string project_id = target.project->project_id;
  const std::vector<std::string> path = target.rest;
  CO_TRY(
      json::object found,
      co_await loop_.ask<json::object>([=](const Fleet& fleet, Moment now) -> Result<json::object> {
        json::array items;
        if (path.size() == 1) {
          for (const Group* group : fleet.groups.of_project(project_id)) {
            items.push_back(summary_json(fleet, *group));
          }
          return json::object{{"items", std::move(items)}};
        }
        TRY(const Group* group, group_named(fleet, project_id, path[1]));
        if (path[2] == "placement") return placement_json(fleet, *group, now);
        for (const Allocation* instance : instances_of(fleet, group->id)) {
          items.push_back(instance_json(fleet, *instance));
        }
        return json::object{{"items", std::move(items)}};
      }));
  co_return json_answer(200, std::move(found));
}

}  // namespace mesclun::cloud
