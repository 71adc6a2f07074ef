#include "cloud/exclusion_endpoint.h"

#include <fmt/format.h>

#include "base/text.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {

Answer ExclusionEndpoint::handle(HttpRequest request, ApiTarget target) {
  const std::vector<std::string>& path = target.rest;
  if (path.size() > 4) co_return no_such_path();
  const std::string machine_id = path.size() == 4 ? lower_case(path[3]) : "";
  const std::string method = request.head.method;
  if (method == "DELETE") {
    CO_TRY_DO(read_no_document(request));
    co_return co_await lift(*target.project, path[1], machine_id);
  }
  if (path.size() == 4) co_return method_not_allowed("DELETE");
  if (method != "GET") co_return method_not_allowed("GET, DELETE");
  co_return co_await list(*target.project, path[1]);
}

Answer ExclusionEndpoint::list(ProjectIdentity project, std::string group) {
  CO_TRY(json::array items, co_await loop_.ask<json::array>([=](const Fleet& fleet,
                                                                Moment) -> Result<json::array> {
    TRY(const Group* found, group_named(fleet, project.project_id, group));
    json::array out;
    for (const Exclusion* exclusion : fleet.exclusions.of_group(found->id)) {
      const Node* node = fleet.nodes.find(exclusion->node_id);
      out.push_back(json::object{{"machine_id", exclusion->node_id},
                                 {"hostname", node == nullptr ? "" : node->facts.hostname},
                                 {"until", format_rfc3339(from_unix_nanos(exclusion->until))},
                                 {"by_failure", exclusion->by_failure},
                                 {"reason", exclusion->reason}});
    }
    return out;
  }));
  json::object out;
  out["items"] = std::move(items);
  co_return json_answer(200, std::move(out));
}

Answer ExclusionEndpoint::lift(ProjectIdentity project, std::string group, std::string machine_id) {
  FleetLoop::Command command = [=](Fleet& fleet, Moment now) -> Result<> {
    TRY(const Group* found, group_named(fleet, project.project_id, group));
    if (machine_id.empty()) {
      fleet.exclusions.lift_all(found->id, false);
      return {};
    }
    if (!fleet.exclusions.holds(found->id, machine_id, to_unix_nanos(now.wall))) {
      return Error::not_found(
          fmt::format("machine '{}' is not excluded for '{}'", machine_id.substr(0, 64), group));
    }
    fleet.exclusions.lift(found->id, machine_id);
    return {};
  };
  CO_TRY_DO(co_await loop_.submit(std::move(command)));
  co_return empty_answer(202);
}

}  // namespace mesclun::cloud
