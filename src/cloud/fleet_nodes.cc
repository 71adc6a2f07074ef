// What machines say, and what follows from it.
#include "base/crypto.h"
#include "cloud/fleet.h"

namespace mesclun::cloud {

Result<> Fleet::node_joined(const link::Hello& hello, int64_t session, Moment now) {
  const std::string secret = sha256_hex(hello.node_secret);
  const auto found = nodes_.find(hello.machine_id);
  if (found != nodes_.end() && !equal_secret(found->second.secret_sha256, secret)) {
    return Error{ErrorCode::PermissionDenied,
                 "this machine id belongs to a machine with another secret; give the agent a data "
                 "folder of its own"};
  }
  Node& node = nodes_[hello.machine_id];
  if (found == nodes_.end()) {
    node.id = hello.machine_id;
    node.secret_sha256 = secret;
    node.join_time = to_unix_nanos(now.wall);
  }
  node.facts = hello.facts;
  node.session = session;
  node.reported = false;
  node.revision = node.revision_applied = 0;
  node.last_heard = now.steady;
  node.last_heard_time = to_unix_nanos(now.wall);
  changed(node);
  return {};
}

void Fleet::node_heard(const std::string& node_id, int64_t session, Moment now) {
  Node* found = node(node_id);
  if (found != nullptr && found->session == session) found->last_heard = now.steady;
}

void Fleet::node_left(const std::string& node_id, int64_t session, Moment now) {
  Node* found = node(node_id);
  if (found == nullptr || found->session != session) return;
  found->session = 0;
  found->reported = false;
  found->last_heard_time = to_unix_nanos(now.wall);
  changed(*found);
}

void Fleet::node_reported(const std::string& node_id, int64_t session, const link::Report& report,
                          Moment now) {
  Node* found = node(node_id);
  if (found == nullptr || found->session != session) return;
  Node& from = *found;
  const bool first = !from.reported;
  from.reported = true;
  from.silent_beyond_grace = false;
  from.last_heard = now.steady;
  from.revision_applied = report.revision;
  if (from.mode != report.mode) {
    from.mode = report.mode;
    changed(from);
    place_again_ = true;
    if (report.mode == link::NodeMode::Draining) drain(from, now);
  }
  if (first) {
    changes_.desired.insert(node_id);
    place_again_ = true;
    // The first report begins after what was acknowledged, perhaps by a cloud of before.
    from.acknowledged = std::max(from.acknowledged, report.events_after);
  }

  for (const link::InstanceEvent& told : report.events) {
    if (report.events_after > from.acknowledged) break;
    if (told.sequence <= from.acknowledged) continue;
    from.acknowledged = told.sequence;
    changed(from);
    // A group that does not exist has nobody to tell.
    if (!groups_.contains(told.group_id)) continue;
    changes_.events.push_back({.sequence = ++event_sequence_,
                               .group_id = told.group_id,
                               .resource_type = "instance_controller",
                               .instance_id = told.instance_id,
                               .machine_id = node_id,
                               .version = told.version,
                               .time = told.time,
                               .event_name = told.name,
                               .detail = told.detail});
  }

  std::set<std::string> reported;
  for (const link::InstanceReport& instance : report.instances) {
    reported.insert(instance.allocation_id);
    const auto allocation = allocations_.find(instance.allocation_id);
    if (allocation == allocations_.end() || allocation->second.node_id != node_id) continue;
    apply_report(from, allocation->second, instance, now);
  }
  // Told to run it, applied that, and does not have it: it ended, and the node has forgotten it.
  if (from.revision == 0 || report.revision < from.revision) return;
  const std::set<std::string> here = by_node_[node_id];
  for (const std::string& id : here) {
    if (reported.contains(id)) continue;
    Allocation& missing = allocations_.at(id);
    if (!missing.done()) erase(missing.id);
  }
}

void Fleet::apply_report(Node& node, Allocation& allocation, const link::InstanceReport& report,
                         Moment now) {
  if (allocation.done()) return;
  const link::ReplicaStatus& told = report.status;
  const bool news = told != allocation.status;
  const bool served = allocation.serves();
  const bool ran = allocation.state() == api::InstanceState::Running;
  const bool newer_run = told.run > allocation.wish.run;
  allocation.status = told;
  allocation.wish.run = std::max(allocation.wish.run, told.run);
  allocation.update_time = told.update_time;
  if (told.state == link::RunState::Ended) {
    end_run(allocation, now);
    return;
  }
  const bool runs = allocation.state() == api::InstanceState::Running;
  if (runs && (!ran || allocation.running_since == 0)) allocation.running_since = told.update_time;
  if (news || newer_run) {
    const bool told_already = changes_.desired.contains(node.id);
    changed(allocation);
    // Its own report is no news to the node.
    if (!newer_run && !told_already) changes_.desired.erase(node.id);
  }
  if (allocation.lost) {
    take_back_or_end(allocation, now);
  } else if (allocation.serves() && !served) {
    forget_lost_of_slot(allocation.group_id, allocation.slot);
  }
}

void Fleet::end_run(Allocation& allocation, Moment now) {
  const std::string group_id = allocation.group_id;
  const std::string node_id = allocation.node_id;
  switch (allocation.status.outcome) {
    case link::RunOutcome::Succeeded:
    case link::RunOutcome::Failed:
      if (!allocation.counts()) break;
      changed(allocation);
      return;
    case link::RunOutcome::Replace:
      exclude(group_id, node_id,
              allocation.status.exclude_node ? settings_.exclusion : settings_.retry_elsewhere,
              now);
      break;
    case link::RunOutcome::Stopped:
    case link::RunOutcome::None:
      break;
  }
  erase(allocation.id);
}

void Fleet::take_back_or_end(Allocation& returned, Moment now) {
  const Group* group = live_group(returned.group_id);
  const bool runs = returned.status.state == link::RunState::Running ||
                    returned.status.state == link::RunState::Creating;
  Allocation* current = nullptr;
  for (const std::string& id : by_group_[returned.group_id]) {
    Allocation& other = allocations_.at(id);
    if (other.id != returned.id && other.slot == returned.slot && other.counts()) current = &other;
  }
  const bool fits = group != nullptr && group->started && runs && !returned.wish.stop &&
                    returned.wish.version == group->version;
  if (!fits || current == nullptr || current->serves() || current->done()) {
    erase(returned.id);  // the node stops what it is no longer told to run
    return;
  }
  add_event(*current, "Instance Reallocated by Platform",
            "the node of the replaced instance came back before this one served", now);
  const std::string loser = current->id;
  returned.lost = false;
  changed(returned);
  release(allocations_.at(loser), now);
}

void Fleet::forget_lost_of_slot(const std::string& group_id, const std::string& slot) {
  const std::set<std::string> members = by_group_[group_id];
  for (const std::string& id : members) {
    const Allocation& other = allocations_.at(id);
    if (other.lost && other.slot == slot) erase(id);
  }
}

void Fleet::drain(Node& node, Moment now) {
  const std::set<std::string> here = by_node_[node.id];
  for (const std::string& id : here) {
    Allocation& allocation = allocations_.at(id);
    if (!allocation.counts() || allocation.done()) continue;
    add_event(allocation, "Instance Reallocated by Platform", "the owner of the machine drains it",
              now);
    release(allocation, now);
  }
}

}  // namespace mesclun::cloud
