#include "cloud/fleet_drain.h"

#include "api/event_names.h"
#include "cloud/fleet_steps.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {

namespace {

// The one of the slot that counts; null: none does.
const Allocation* successor_of(const Fleet& fleet, const Allocation& leaving) {
  for (const std::string& id : fleet.allocations.of_slot(leaving.slot)) {
    const Allocation& other = fleet.allocations.at(id);
    if (other.counts()) return &other;
  }
  return nullptr;
}

std::vector<const Allocation*> leaving_of(const Fleet& fleet, const Group& group) {
  std::vector<const Allocation*> out;
  if (fleet.allocations.leaving().empty()) return out;
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.leaving()) out.push_back(&allocation);
  }
  return out;
}

void move_off(Fleet& fleet, const Allocation& allocation, Moment now) {
  add_event(fleet, allocation, api::event::kReallocatedByPlatform,
            "drained: the operator empties its machine", now);
  const Group& group = fleet.groups.at(allocation.group_id);
  const bool runs_for_ever = group.spec.restart_policy == api::RestartPolicy::Always;
  if (!allocation.serves() || !runs_for_ever) {
    release(fleet, allocation.id, now);
    return;
  }
  fleet.allocations.change(
      allocation.id, [&](Allocation& leaving) { leaving.leave_by = latest_leave(fleet, now); });
}

}  // namespace

int64_t latest_leave(const Fleet& fleet, Moment now) {
  return to_unix_nanos(now.wall + fleet.settings.drain_limit);
}

Result<> drain_node(Fleet& fleet, const std::string& node_id, Moment now) {
  const Node* node = fleet.nodes.find(node_id);
  if (node == nullptr) return no_such_node(node_id);
  if (node->drained) return {};
  fleet.nodes.change(node_id, [](Node& drained) { drained.drained = true; });
  const std::set<std::string> here = fleet.allocations.on_node(node_id);
  for (const std::string& id : here) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.counts() && !allocation.done()) move_off(fleet, allocation, now);
  }
  return {};
}

Result<> undrain_node(Fleet& fleet, const std::string& node_id, Moment now) {
  const Node* node = fleet.nodes.find(node_id);
  if (node == nullptr) return no_such_node(node_id);
  if (!node->drained) return {};
  fleet.nodes.change(node_id, [](Node& drained) { drained.drained = false; });
  const std::set<std::string> here = fleet.allocations.on_node(node_id);
  for (const std::string& id : here) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (!allocation.leaving()) continue;
    const Allocation* successor = successor_of(fleet, allocation);
    if (successor == nullptr || successor->serves()) continue;
    add_event(fleet, *successor, api::event::kReallocatedByPlatform,
              "the drain of the replaced instance's machine was undone", now);
    release(fleet, successor->id, now);
    fleet.allocations.change(id, [](Allocation& stays) { stays.leave_by = 0; });
  }
  return {};
}

void end_late_moves(Fleet& fleet, Moment now) {
  const int64_t wall = to_unix_nanos(now.wall);
  const AllocationTable::Line& leaving = fleet.allocations.leaving();
  while (!leaving.empty() && leaving.begin()->first <= wall) {
    const std::string id = leaving.begin()->second;
    release(fleet, id, now);
  }
}

std::vector<std::string> slots_without_successor(const Fleet& fleet, const Group& group) {
  std::vector<std::string> out;
  for (const Allocation* leaving : leaving_of(fleet, group)) {
    if (successor_of(fleet, *leaving) == nullptr) out.push_back(leaving->slot);
  }
  return out;
}

bool follow_moves(Fleet& fleet, const Group& group, Moment now) {
  bool decided = true;
  for (const Allocation* leaving : leaving_of(fleet, group)) {
    const Allocation* successor = successor_of(fleet, *leaving);
    const bool unplaced = successor != nullptr && !successor->placed();
    if (unplaced && fleet.marks.seek.contains(group.id)) {
      decided = false;
      continue;
    }
    if (successor == nullptr || unplaced || successor->serves() || successor->done()) {
      release(fleet, leaving->id, now);
    }
  }
  return decided;
}

}  // namespace mesclun::cloud
