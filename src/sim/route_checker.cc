#include "sim/route_checker.h"

#include <fmt/format.h>

#include "cloud/fleet_views.h"

namespace mesclun::sim {

namespace {

// The run carries the group's newest version, so its probes too: others are told by another run.
bool is_newest(const runtime::RunSpec& run, const cloud::Group& group, const cloud::Fleet& fleet) {
  const cloud::Allocation* allocation = fleet.allocations.find(allocation_of(run));
  return allocation != nullptr && allocation->status.instance_id == run.instance_id &&
         allocation->status.version == group.version;
}

// Empty: it may be ready.
std::string unready(const link::RouteInstance& instance, const cloud::Group& group,
                    const cloud::Fleet& fleet, const SimNode& node) {
  const runtime::RunSpec* run = node.driver().find_spec(instance.instance_id);
  if (run == nullptr) return {};  // gone, or lost with the power
  if (!node.driver().was_started(instance.instance_id)) return "was not started";
  const bool probed = group.spec.readiness_probe && is_newest(*run, group, fleet);
  if (probed && !node.driver().was_ready(instance.instance_id)) return "does not listen yet";
  return {};
}

}  // namespace

std::vector<std::string> unready_routes(const SimGateway& gateway, const cloud::Fleet& fleet,
                                        const Nodes& nodes) {
  std::map<std::string, const SimNode*> by_id;
  for (const auto& node : nodes) by_id[node->machine_id()] = node.get();
  std::vector<std::string> wrong;
  for (const auto& [host, route] : gateway.routes()) {
    const cloud::Group* group = fleet.groups.find(route.group_id);
    if (group == nullptr) continue;
    for (const link::RouteInstance& instance : route.instances) {
      const auto node = by_id.find(instance.machine_id);
      if (!instance.ready || node == by_id.end()) continue;
      const std::string why = unready(instance, *group, fleet, *node->second);
      if (why.empty()) continue;
      wrong.push_back(fmt::format("{} takes instance {} of {} for ready, which {}", gateway.name(),
                                  instance.instance_id, host, why));
    }
  }
  return wrong;
}

std::vector<std::string> wrong_routes(const SimGateway& gateway, const cloud::Fleet& fleet) {
  if (!gateway.connected()) return {gateway.name() + " has no session after the faults"};
  std::map<std::string, link::Route> has = gateway.routes();
  std::vector<std::string> wrong;
  for (const auto& [host, group_id] : fleet.groups.hosts()) {
    const std::string route = to_json_text(cloud::route_of(fleet, fleet.groups.at(group_id)));
    const auto found = has.find(host);
    const std::string shown = found == has.end() ? "nothing" : to_json_text(found->second);
    if (shown != route) {
      wrong.push_back(fmt::format("{} has {} for {}, not {}", gateway.name(), shown, host, route));
    }
    has.erase(host);
  }
  for (const auto& [host, route] : has) {
    wrong.push_back(fmt::format("{} has a route for {}, which is gone", gateway.name(), host));
  }
  return wrong;
}

}  // namespace mesclun::sim
