#include "cloud/fleet.h"

namespace mesclun::cloud {

void Fleet::restore(FleetSnapshot snapshot, Moment now) {
  std::map<std::string, Node> live = std::move(nodes_);
  groups_.clear();
  allocations_.clear();
  nodes_.clear();
  exclusions_.clear();
  group_ids_.clear();
  dns_taken_.clear();
  by_group_.clear();
  by_node_.clear();
  dirty_groups_.clear();
  waiting_.clear();
  changes_ = {};
  event_sequence_ = snapshot.event_sequence;

  for (Group& group : snapshot.groups) {
    group_ids_[{group.project_id, group.spec.name}] = group.id;
    if (!group.dns.empty()) dns_taken_.insert(group.dns);
    dirty_groups_.insert(group.id);
    changes_.routes.insert(group.id);
    groups_[group.id] = std::move(group);
  }
  for (Node& node : snapshot.nodes) {
    node.last_heard = now.steady;
    if (const auto found = live.find(node.id); found != live.end()) {
      const Node& was = found->second;
      node.session = was.session;
      node.reported = was.reported;
      node.last_heard = was.last_heard;
      node.revision = was.revision;
      node.revision_applied = was.revision_applied;
      changes_.desired.insert(node.id);
    }
    nodes_[node.id] = std::move(node);
  }
  for (Allocation& allocation : snapshot.allocations) {
    by_group_[allocation.group_id].insert(allocation.id);
    if (allocation.placed()) {
      by_node_[allocation.node_id].insert(allocation.id);
    } else {
      waiting_.insert(allocation.id);
    }
    allocations_[allocation.id] = std::move(allocation);
  }
  for (const Exclusion& exclusion : snapshot.exclusions) {
    exclusions_[{exclusion.node_id, exclusion.group_id}] = exclusion.until;
  }
  place_again_ = true;
}

Group* Fleet::live_group(const std::string& id) {
  const auto found = groups_.find(id);
  return found == groups_.end() || found->second.delete_time != 0 ? nullptr : &found->second;
}

Node* Fleet::node(const std::string& id) {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : &found->second;
}

Allocation& Fleet::add_allocation(const Group& group, std::string slot, Moment now) {
  Allocation made{.id = new_uuid(random_)};
  made.slot = slot.empty() ? made.id : std::move(slot);
  made.group_id = group.id;
  made.status.instance_id = new_uuid(random_);
  made.wish.version = group.version;
  made.create_time = made.update_time = to_unix_nanos(now.wall);
  by_group_[group.id].insert(made.id);
  waiting_.insert(made.id);
  place_again_ = true;
  Allocation& added = allocations_[made.id] = std::move(made);
  changed(added);
  return added;
}

void Fleet::changed(Allocation& allocation) {
  changes_.allocations[allocation.id] = allocation;
  if (allocation.placed()) changes_.desired.insert(allocation.node_id);
  changes_.routes.insert(allocation.group_id);
  dirty_groups_.insert(allocation.group_id);
}

void Fleet::changed(Group& group) {
  changes_.groups[group.id] = group;
  changes_.routes.insert(group.id);
  dirty_groups_.insert(group.id);
}

void Fleet::changed(Node& node) {
  changes_.nodes[node.id] = node;
}

void Fleet::erase(const std::string& allocation_id) {
  const auto found = allocations_.find(allocation_id);
  if (found == allocations_.end()) return;
  const Allocation& allocation = found->second;
  by_group_[allocation.group_id].erase(allocation_id);
  waiting_.erase(allocation_id);
  if (allocation.placed()) {
    by_node_[allocation.node_id].erase(allocation_id);
    changes_.desired.insert(allocation.node_id);
    place_again_ = true;
  }
  dirty_groups_.insert(allocation.group_id);
  changes_.routes.insert(allocation.group_id);
  changes_.allocations[allocation_id] = std::nullopt;
  allocations_.erase(found);
}

void Fleet::place(Allocation& allocation, const std::string& node_id, Moment now) {
  allocation.node_id = node_id;
  allocation.update_time = to_unix_nanos(now.wall);
  by_node_[node_id].insert(allocation.id);
  waiting_.erase(allocation.id);
  changed(allocation);
  add_event(allocation, "Instance Allocated", "", now);
}

void Fleet::release(Allocation& allocation, Moment now) {
  const auto node = nodes_.find(allocation.node_id);
  const bool node_gone = node == nodes_.end() || node->second.silent_beyond_grace;
  if (!allocation.placed() || allocation.lost || allocation.done() || node_gone) {
    erase(allocation.id);
    return;
  }
  allocation.wish.stop = true;
  allocation.update_time = to_unix_nanos(now.wall);
  changed(allocation);
}

void Fleet::exclude(const std::string& group_id, const std::string& node_id, Duration length,
                    Moment now) {
  const int64_t until = to_unix_nanos(now.wall + length);
  int64_t& entry = exclusions_[{node_id, group_id}];
  if (until <= entry) return;
  entry = until;
  changes_.exclusions.push_back({group_id, node_id, until});
}

void Fleet::add_event(const Group& group, std::string name, std::string detail, Moment now) {
  Event& event = changes_.events.emplace_back();
  event.sequence = ++event_sequence_;
  event.group_id = group.id;
  event.resource_type = "deployment_controller";
  event.version = group.version;
  event.time = to_unix_nanos(now.wall);
  event.event_name = std::move(name);
  event.detail = std::move(detail);
}

void Fleet::add_event(const Allocation& allocation, std::string name, std::string detail,
                      Moment now) {
  Event& event = changes_.events.emplace_back();
  event.sequence = ++event_sequence_;
  event.group_id = allocation.group_id;
  event.resource_type = "instance_controller";
  event.instance_id = allocation.status.instance_id;
  event.machine_id = allocation.node_id;
  event.version = allocation.wish.version;
  event.time = to_unix_nanos(now.wall);
  event.event_name = std::move(name);
  event.detail = std::move(detail);
}

FleetChanges Fleet::take_changes() {
  return std::exchange(changes_, {});
}

}  // namespace mesclun::cloud
