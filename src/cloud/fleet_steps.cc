#include "cloud/fleet_steps.h"

#include "base/ids.h"
#include "cloud/fleet_update.h"

namespace mesclun::cloud {

void add_replica(Fleet& fleet, const Group& group, const std::string& slot, Moment now) {
  Allocation made{.id = new_uuid(fleet.random)};
  made.slot = slot.empty() ? made.id : slot;
  made.group_id = group.id;
  made.status.instance_id = new_uuid(fleet.random);
  made.wish.version = version_of_new_replica(fleet, group, now);
  made.create_time = made.update_time = to_unix_nanos(now.wall);
  fleet.allocations.add(std::move(made));
}

void release(Fleet& fleet, const std::string& allocation_id, Moment now) {
  const Allocation& allocation = fleet.allocations.at(allocation_id);
  const Node* node = fleet.nodes.find(allocation.node_id);
  const bool node_gone = node == nullptr || node->live.silent_beyond_grace;
  if (!allocation.placed() || allocation.lost || allocation.done() || node_gone) {
    fleet.allocations.erase(allocation_id);
    return;
  }
  fleet.allocations.change(allocation_id, [&](Allocation& ending) {
    ending.wish.stop = true;
    ending.update_time = to_unix_nanos(now.wall);
  });
}

void forget_lost(Fleet& fleet, const std::string& slot) {
  const std::set<std::string> copies = fleet.allocations.of_slot(slot);
  for (const std::string& id : copies) {
    if (fleet.allocations.at(id).lost) fleet.allocations.erase(id);
  }
}

int64_t retention_end(const Fleet& fleet, int64_t delete_time) {
  return delete_time + fleet.settings.deleted_retention.count();
}

void exclude(Fleet& fleet, const Allocation& allocation, Duration length, bool by_failure,
             std::string reason, Moment now) {
  fleet.exclusions.add({.group_id = allocation.group_id,
                        .node_id = allocation.node_id,
                        .until = to_unix_nanos(now.wall + length),
                        .by_failure = by_failure,
                        .reason = std::move(reason)});
}

void add_event(Fleet& fleet, const Group& group, std::string_view name, std::string detail,
               Moment now) {
  Event event{.group_id = group.id, .resource_type = "deployment_controller"};
  event.version = group.version;
  event.time = to_unix_nanos(now.wall);
  event.event_name = name;
  event.detail = std::move(detail);
  fleet.add_event(std::move(event));
}

void add_event(Fleet& fleet, const Allocation& allocation, std::string_view name,
               std::string detail, Moment now) {
  Event event{.group_id = allocation.group_id, .resource_type = "instance_controller"};
  event.instance_id = allocation.status.instance_id;
  event.machine_id = allocation.node_id;
  event.version = allocation.wish.version;
  event.time = to_unix_nanos(now.wall);
  event.event_name = name;
  event.detail = std::move(detail);
  fleet.add_event(std::move(event));
}

}  // namespace mesclun::cloud
