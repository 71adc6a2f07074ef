#include "cloud/stats_endpoint.h"

#include <algorithm>

#include "cloud/fleet_views.h"

namespace mesclun::cloud {

namespace {

template <class T>
json::value or_null(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::object stats_of(const Fleet& fleet, const Group& group, const Allocation& allocation,
                      const link::InstanceUsage& usage) {
  const api::Instance view = instance_view(fleet, allocation);
  const Node* node = fleet.nodes.find(allocation.node_id);
  const api::Resources& resources = group.spec.container.resources;
  json::object out;
  out["container_group_name"] = group.spec.name;
  out["instance_id"] = view.id;
  out["machine_id"] = view.machine_id;
  out["hostname"] = node == nullptr ? "" : node->facts.hostname;
  out["state"] = enum_name(view.state);
  out["ready"] = allocation.serves();
  out["restarts"] = std::max(0, allocation.status.run - 1);
  out["cpu_cores"] = or_null(usage.cpu_cores);
  out["cpu_limit"] = resources.cpu;
  out["memory_bytes"] = or_null(usage.memory_bytes);
  out["memory_limit_bytes"] = int64_t{resources.memory} * 1024 * 1024;
  const bool asked = group.spec.networking.has_value();
  out["requests_per_second"] = asked ? or_null(usage.requests_per_second) : json::value(nullptr);
  out["in_flight"] = asked ? or_null(usage.in_flight) : json::value(nullptr);
  return out;
}

}  // namespace

Answer StatsEndpoint::handle(HttpRequest request, ProjectIdentity project, std::string group) {
  if (request.head.method != "GET") co_return method_not_allowed("GET");
  const TimePoint time = clock_.now();
  CO_TRY(
      json::array items,
      co_await loop_.ask<json::array>([=, this](const Fleet& fleet, Moment) -> Result<json::array> {
        std::vector<const Group*> groups = fleet.groups.of_project(project.project_id);
        if (!group.empty()) {
          TRY(const Group* found, group_named(fleet, project.project_id, group));
          groups = {found};
        }
        json::array out;
        for (const Group* one : groups) {
          for (const Allocation* allocation : instances_of(fleet, one->id)) {
            const link::InstanceUsage usage =
                usage_.find(allocation->node_id, allocation->status.instance_id, time);
            out.push_back(stats_of(fleet, *one, *allocation, usage));
          }
        }
        return out;
      }));
  json::object out;
  out["items"] = std::move(items);
  co_return json_answer(200, std::move(out));
}

}  // namespace mesclun::cloud
