#include "cloud/fleet_admission.h"

#include "api/event_names.h"
#include "cloud/fleet_steps.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {

namespace {

// Replicas that are done stay: they are what became of their group.
void take_away(Fleet& fleet, const std::string& node_id, Moment now) {
  const std::set<std::string> here = fleet.allocations.on_node(node_id);
  for (const std::string& id : here) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.done()) continue;
    if (allocation.counts()) {
      add_event(fleet, allocation, api::event::kReallocatedByPlatform,
                "the operator took the machine out of the cloud", now);
    }
    fleet.allocations.erase(id);
  }
}

}  // namespace

Result<> forget_node(Fleet& fleet, const std::string& node_id, Moment now) {
  const Node* node = fleet.nodes.find(node_id);
  if (node == nullptr) return no_such_node(node_id);
  if (node->banned) {
    return Error{ErrorCode::FailedPrecondition,
                 "the node is banned, and would be let in again; unban it first"};
  }
  take_away(fleet, node_id, now);
  fleet.nodes.erase(node_id);
  return {};
}

Result<> ban_node(Fleet& fleet, const std::string& node_id, Moment now) {
  if (fleet.nodes.find(node_id) == nullptr) return no_such_node(node_id);
  take_away(fleet, node_id, now);
  fleet.nodes.change(node_id, [](Node& node) {
    node.banned = true;
    node.live.session = 0;
    node.live.reported = false;
  });
  return {};
}

Result<> unban_node(Fleet& fleet, const std::string& node_id) {
  if (fleet.nodes.find(node_id) == nullptr) return no_such_node(node_id);
  fleet.nodes.change(node_id, [](Node& node) { node.banned = false; });
  return {};
}

}  // namespace mesclun::cloud
