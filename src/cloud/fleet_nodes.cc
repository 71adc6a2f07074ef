#include "cloud/fleet_nodes.h"

#include "api/event_names.h"
#include "base/back_off.h"
#include "base/crypto.h"
#include "base/text.h"
#include "cloud/fleet_drain.h"
#include "cloud/fleet_placement.h"
#include "cloud/fleet_steps.h"
#include "cloud/fleet_update.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {

namespace {

constexpr size_t kTroubleBytesMax = 500;
constexpr size_t kReasonBytesMax = 300;

// The node, if the session is its own.
const Node* node_of(const Fleet& fleet, const std::string& node_id, int64_t session) {
  const Node* node = fleet.nodes.find(node_id);
  return node != nullptr && node->live.session == session ? node : nullptr;
}

void let_go(Fleet& fleet, const std::string& node_id, Moment now) {
  const std::set<std::string> here = fleet.allocations.on_node(node_id);
  for (const std::string& id : here) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (!allocation.wanted() || allocation.done()) continue;
    add_event(fleet, allocation, api::event::kReallocatedByPlatform,
              "the owner of the machine drains it", now);
    release(fleet, id, now);
  }
}

// What a node says about others' is not taken.
void refuse(Fleet& fleet, const std::string& node_id) {
  fleet.nodes.touch(node_id, [](Node::Live& live) { ++live.refused; });
}

// The machine offers less than before, or other things: the oldest instances that still fit stay.
void move_what_no_longer_fits(Fleet& fleet, const Node& node, Moment now) {
  std::vector<const Allocation*> here;
  for (const std::string& id : fleet.allocations.on_node(node.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (!allocation.done()) here.push_back(&allocation);
  }
  std::ranges::sort(
      here, {}, [](const Allocation* a) { return std::tuple(a->counts(), a->create_time, a->id); });
  NodeOffer left = empty_offer(node);
  std::vector<std::string> moving;
  for (const Allocation* allocation : here) {
    const Group& group = fleet.groups.at(allocation->group_id);
    const api::GroupSpec* carried = spec_of_version(group, allocation->wish.version);
    const bool stays =
        hold(left, *allocation, request_of(group.id, carried == nullptr ? group.spec : *carried));
    if (!stays && !allocation->wish.stop) moving.push_back(allocation->id);
  }
  for (const std::string& id : moving) {
    const Allocation& allocation = fleet.allocations.at(id);
    // A lost one has a replacement, and will not be taken back.
    if (allocation.counts()) {
      add_event(fleet, allocation, api::event::kReallocatedByPlatform,
                "its machine offers less than before", now);
    }
    release(fleet, id, now);
  }
}

void take_events(Fleet& fleet, const Node& node, const link::Report& report) {
  if (report.events_after > node.acknowledged) return;
  int64_t acknowledged = node.acknowledged;
  for (const link::InstanceEvent& told : report.events) {
    if (told.sequence <= acknowledged) continue;
    acknowledged = told.sequence;
    if (!may_speak_of(fleet, node.id, told.group_id)) continue;
    fleet.add_event({.group_id = told.group_id,
                     .resource_type = "instance_controller",
                     .instance_id = told.instance_id,
                     .machine_id = node.id,
                     .version = told.version,
                     .time = told.time,
                     .event_name = told.name,
                     .detail = told.detail});
  }
  if (acknowledged == node.acknowledged) return;
  fleet.nodes.change(node.id, [&](Node& heard) { heard.acknowledged = acknowledged; });
}

// A lost copy is back: it stays if it is as wanted and its replacement does not serve yet.
void take_back_or_end(Fleet& fleet, const Allocation& returned, Moment now) {
  const Group& group = fleet.groups.at(returned.group_id);
  const bool runs = returned.status.state == link::RunState::Running ||
                    returned.status.state == link::RunState::Creating;
  const Allocation* current = nullptr;
  for (const std::string& id : fleet.allocations.of_slot(returned.slot)) {
    const Allocation& other = fleet.allocations.at(id);
    if (id != returned.id && other.counts()) current = &other;
  }
  const bool fits = group.delete_time == 0 && group.started && runs && !returned.wish.stop &&
                    spec_of_version(group, returned.wish.version) != nullptr;
  if (!fits || current == nullptr || current->serves() || current->done()) {
    fleet.allocations.erase(returned.id);  // the node stops what it is no longer told to run
    return;
  }
  if (fleet.nodes.at(returned.node_id).drained) {
    fleet.allocations.change(returned.id, [&](Allocation& back) {
      back.lost = false;
      back.leave_by = latest_leave(fleet, now);
    });
    return;
  }
  add_event(fleet, *current, api::event::kReallocatedByPlatform,
            "the node of the replaced instance came back before this one served", now);
  fleet.allocations.change(returned.id, [](Allocation& back) { back.lost = false; });
  release(fleet, current->id, now);
}

// Whether an ended run leaves its allocation behind, as a replica that is done.
bool stays_done(const Allocation& allocation, link::RunOutcome outcome) {
  return allocation.counts() &&
         (outcome == link::RunOutcome::Succeeded || outcome == link::RunOutcome::Failed);
}

// Whether a replica could run on a node that has none of the group, if it were empty.
bool has_elsewhere(Fleet& fleet, const Group& group, const std::string& node_id, Moment now) {
  const int64_t wall = to_unix_nanos(now.wall);
  const IsExcluded excluded = [&](const std::string& id) {
    return id == node_id || fleet.exclusions.holds(group.id, id, wall);
  };
  const auto aim = fleet.offers.aim(request_of(group), excluded, fleet.work.nodes_looked_at);
  return OfferBook::count_able(*aim, 1) > 0;
}

// A run wants another node than this one: for how long, and why.
void avoid_node(Fleet& fleet, const Allocation& allocation, const link::ReplicaStatus& told,
                Moment now) {
  const FleetSettings& settings = fleet.settings;
  const Group& group = fleet.groups.at(allocation.group_id);
  if (!told.exclude_node) {
    // A node that lets go of what it has is not offered in any case.
    const Node* node = fleet.nodes.find(allocation.node_id);
    if (node == nullptr || node->mode != link::NodeMode::Active || node->drained) return;
    const bool elsewhere = has_elsewhere(fleet, group, allocation.node_id, now);
    exclude(fleet, allocation, elsewhere ? settings.retry_elsewhere : settings.retry_here_first,
            true, told.reason, now);
    return;
  }
  if (!told.failed) {
    exclude(fleet, allocation, settings.exclusion, false, told.reason, now);
    return;
  }
  const bool ran_long =
      allocation.running_since != 0 &&
      Duration(std::chrono::nanoseconds(told.update_time - allocation.running_since)) >=
          settings.runs_long;
  if (told.version != group.version) {
    // What an older version did says nothing about the one that follows it.
    exclude(fleet, allocation, settings.retry_here_first, true, told.reason, now);
    return;
  }
  const int32_t failures = ran_long ? 0 : group.failures;
  fleet.groups.change(group.id, [&](Group& failed) {
    failed.failures = failures + 1;
    failed.failure = valid_utf8(told.reason, kReasonBytesMax);
  });
  // Where there is no other node it is tried again on this one, ever more slowly. So is a version
  // that serves nowhere yet, while an older one does: the node is not the first to be suspected.
  const bool node_is_suspect = !group.update || is_proven(fleet, group);
  const Duration length =
      node_is_suspect && has_elsewhere(fleet, group, allocation.node_id, now)
          ? settings.exclusion
          : back_off_step(settings.retry_here_first, settings.retry_here_max, failures);
  exclude(fleet, allocation, length, true, told.reason, now);
}

void count_restart(Fleet& fleet, const Allocation& allocation) {
  fleet.groups.change(allocation.group_id, [](Group& group) { ++group.restarts; });
}

void take_status(Fleet& fleet, const Allocation& allocation, const link::ReplicaStatus& told,
                 Moment now) {
  if (allocation.done()) return;
  if (told.state == link::RunState::Ended && !stays_done(allocation, told.outcome)) {
    if (told.outcome == link::RunOutcome::Replace) {
      if (told.failed) count_restart(fleet, allocation);
      avoid_node(fleet, allocation, told, now);
    }
    fleet.allocations.erase(allocation.id);
    return;
  }
  // Another run that nobody asked for: the one before ended.
  const bool again = allocation.status.run != 0 && told.run == allocation.status.run &&
                     told.instance_id != allocation.status.instance_id;
  if (again) count_restart(fleet, allocation);
  const bool served = allocation.serves();
  const bool another_run =
      told.run != allocation.status.run || told.instance_id != allocation.status.instance_id;
  const bool ran = allocation.state() == api::InstanceState::Running;
  if (told != allocation.status) {
    fleet.allocations.change(allocation.id, [&](Allocation& seen) {
      seen.status = told;
      seen.wish.run = std::max(seen.wish.run, told.run);
      seen.update_time = told.update_time;
      const bool runs = seen.state() == api::InstanceState::Running;
      if (runs && (!ran || seen.running_since == 0)) seen.running_since = told.update_time;
      if (!seen.serves()) {
        seen.serving_since = 0;
      } else if (seen.serving_since == 0 || another_run) {
        seen.serving_since = to_unix_nanos(now.wall);
      }
    });
  }
  settle(fleet, allocation, fleet.groups.at(allocation.group_id));
  if (allocation.lost) {
    take_back_or_end(fleet, allocation, now);
  } else if (allocation.serves() && !served) {
    forget_lost(fleet, allocation.slot);
  }
}

}  // namespace

Error banned_error() {
  return {ErrorCode::PermissionDenied, "the operator of this cloud banned this machine"};
}
Error forgotten_error() {
  return {ErrorCode::PermissionDenied,
          "the operator of this cloud put this machine out; a join token lets it in again"};
}

Result<> node_joined(Fleet& fleet, const link::Hello& hello, int64_t session, Moment now) {
  const std::string secret = sha256_hex(hello.node_secret);
  const Node* known = fleet.nodes.find(hello.machine_id);
  if (known != nullptr && !equal_secret(known->secret_sha256, secret)) {
    return Error{ErrorCode::PermissionDenied,
                 "this machine id belongs to a machine with another secret; give the agent a data "
                 "folder of its own"};
  }
  if (known != nullptr && known->banned) return banned_error();
  if (known == nullptr) {
    fleet.nodes.add(
        {.id = hello.machine_id, .secret_sha256 = secret, .join_time = to_unix_nanos(now.wall)});
  }
  const bool other_facts = known != nullptr && known->facts != hello.facts;
  const Node& joined = fleet.nodes.change(hello.machine_id, [&](Node& node) {
    node.facts = hello.facts;
    node.last_heard_time = to_unix_nanos(now.wall);
    // Both until it reports: who only says hello, again and again, is as silent as before.
    const bool silent = node.live.silent_beyond_grace;
    const TimePoint heard = known == nullptr ? now.steady : node.live.last_heard;
    node.live = {.session = session, .silent_beyond_grace = silent, .last_heard = heard};
  });
  if (other_facts) move_what_no_longer_fits(fleet, joined, now);
  return {};
}

bool may_speak_of(Fleet& fleet, const std::string& node_id, const std::string& group_id) {
  if (is_placed_on(fleet, group_id, node_id)) return true;
  // What became of a replica that was forgotten while its node was away.
  if (fleet.allocations.was_on(node_id, group_id) && fleet.groups.find(group_id) != nullptr) {
    return true;
  }
  refuse(fleet, node_id);
  return false;
}

void node_heard(Fleet& fleet, const std::string& node_id, int64_t session, Moment now) {
  const Node* node = node_of(fleet, node_id, session);
  if (node == nullptr || !node->live.reported) return;
  fleet.nodes.touch(node_id, [&](Node::Live& live) { live.last_heard = now.steady; });
}

void node_left(Fleet& fleet, const std::string& node_id, int64_t session, Moment now) {
  if (node_of(fleet, node_id, session) == nullptr) return;
  fleet.nodes.change(node_id, [&](Node& node) {
    node.live.session = 0;
    node.live.reported = false;
    node.last_heard_time = to_unix_nanos(now.wall);
  });
}

void node_reported(Fleet& fleet, const std::string& node_id, int64_t session,
                   const link::Report& report, Moment now) {
  const Node* node = node_of(fleet, node_id, session);
  if (node == nullptr) return;
  const bool first = !node->live.reported;
  fleet.nodes.touch(node_id, [&](Node::Live& live) {
    live.reported = true;
    live.silent_beyond_grace = false;
    live.last_heard = now.steady;
    live.revision_applied = report.revision;
  });
  if (node->trouble != report.trouble) {
    fleet.nodes.change(node_id, [&](Node& changed) {
      changed.trouble = valid_utf8(report.trouble, kTroubleBytesMax);
    });
  }
  if (node->mode != report.mode) {
    fleet.nodes.change(node_id, [&](Node& changed) { changed.mode = report.mode; });
    if (report.mode == link::NodeMode::Draining) let_go(fleet, node_id, now);
  }
  // The first report begins after what was acknowledged, perhaps by a cloud of before.
  if (first && report.events_after > node->acknowledged) {
    fleet.nodes.change(node_id, [&](Node& ahead) { ahead.acknowledged = report.events_after; });
  }
  take_events(fleet, *node, report);

  std::set<std::string> reported;
  for (const link::InstanceReport& instance : report.instances) {
    reported.insert(instance.allocation_id);
    const Allocation* allocation = fleet.allocations.find(instance.allocation_id);
    // One that the cloud has forgotten ends when the node hears what it should run.
    if (allocation == nullptr) continue;
    if (allocation->node_id != node_id) {
      refuse(fleet, node_id);
      continue;
    }
    take_status(fleet, *allocation, instance.status, now);
  }
  // Told to run it, applied that, and does not have it: it ended, and the node has forgotten it.
  if (node->live.revision == 0 || report.revision < node->live.revision) return;
  const std::set<std::string> here = fleet.allocations.on_node(node_id);
  for (const std::string& id : here) {
    if (!reported.contains(id) && !fleet.allocations.at(id).done()) fleet.allocations.erase(id);
  }
}

}  // namespace mesclun::cloud
