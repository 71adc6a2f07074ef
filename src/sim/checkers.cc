#include "sim/checkers.h"

#include <fmt/format.h>

#include "cloud/fleet_update.h"
#include "cloud/fleet_views.h"
#include "sim/placement_rules.h"

namespace mesclun::sim {

namespace {

// Until a turn has noticed that an exclusion ended: a commit may be on its way, or the cloud stand
// still.
constexpr Duration kNoticedMax = 1min;
constexpr Duration kRoomMax = 2min;
// A returned copy is told within a round trip and ends within its stop grace (30 s); a node that
// cannot hear the cloud is not counted. The rest is for a session that must first be found broken
// (20 s) and dialled anew (10 s), and for a slow store.
constexpr Duration kDoubledMax = 120s;
// Applications end by themselves in the healing phase too; a start takes up to an hour.
constexpr Duration kStartMax = 75min;
// Ready within 21 s, looked at every 60 s.
constexpr Duration kProbedMax = 3min;

}  // namespace

void Checkers::check_fleet(const cloud::Fleet& fleet) {
  ++checks_;
  const int64_t wall = to_unix_nanos(clock_.wall_now());
  std::map<std::string, int32_t> counted;
  for (const auto& [id, allocation] : fleet.allocations.all()) {
    slot_of_[id] = allocation.slot;
    if (allocation.counts()) ++counted[allocation.group_id];
    const bool active = allocation.placed() && allocation.counts() && !allocation.done();
    if (active && fleet.exclusions.holds(allocation.group_id, allocation.node_id, wall)) {
      violated(fmt::format("allocation {} is on node {}, which is excluded for its group", id,
                           allocation.node_id));
    }
  }
  for (const auto& [id, group] : fleet.groups.all()) {
    const bool wanted = group.started && group.delete_time == 0;
    const int32_t replicas = wanted ? group.spec.replicas : 0;
    // Read from the store, by a start or after a commit that failed, and not looked at since.
    if (fleet.marks.review.contains(id)) continue;
    if (wanted && counted[id] != replicas) {
      violated(fmt::format("group {} has {} replicas, wants {}", group.spec.name, counted[id],
                           replicas));
    }
  }
  for (const auto& [node_id, node] : fleet.nodes.all()) {
    for (std::string& broken : broken_rules(fleet, node)) violated(std::move(broken));
    if (!node.drained) continue;
    for (const std::string& id : fleet.allocations.on_node(node_id)) {
      const cloud::Allocation& allocation = fleet.allocations.at(id);
      if (allocation.done() || !allocation.counts()) continue;
      violated(fmt::format("allocation {} stays on node {}, which is drained", id, node_id));
    }
  }
  check_sums(fleet);
  check_waiting(fleet);
}

void Checkers::check_sums(const cloud::Fleet& fleet) {
  std::map<std::string, int32_t> replicas;  // by organization
  for (const auto& [id, group] : fleet.groups.all()) {
    const int32_t most = group.spec.queue_autoscaler ? group.spec.queue_autoscaler->max_replicas
                                                     : group.spec.replicas;
    replicas[group.organization_id] += group.delete_time == 0 ? most : 0;
    cloud::GroupTally tally;
    for (const std::string& member : fleet.allocations.of_group(id)) {
      tally += cloud::tally_of(fleet.allocations.at(member));
    }
    if (tally != fleet.allocations.tally(id)) {
      violated(fmt::format("the sums of group {} are not those of its instances", group.spec.name));
    }
  }
  for (const auto& [organization, count] : replicas) {
    const int32_t counted = fleet.groups.replicas_of(organization);
    if (counted != count) {
      violated(
          fmt::format("{} replicas count against the quota, and there are {}", counted, count));
    }
  }
}

// At a quiet moment nobody waits who has room; at any other not for long.
void Checkers::check_waiting(const cloud::Fleet& fleet) {
  const cloud::TurnMarks& marks = fleet.marks;
  const bool quiet = marks.review.empty() && marks.offers.empty() && marks.seek.empty();
  std::map<std::string, TimePoint> waits;
  for (const auto& [group_id, line] : fleet.allocations.waiting()) {
    const cloud::Group& group = fleet.groups.at(group_id);
    const auto known = waits_with_room_.find(group_id);
    const TimePoint since = known == waits_with_room_.end() ? clock_.now() : known->second;
    for (const auto& [node_id, node] : fleet.nodes.all()) {
      if (!has_room(fleet, group, node, {}, clock_.wall_now() - kNoticedMax)) continue;
      waits[group_id] = since;
      if (quiet || clock_.now() - since > kRoomMax) {
        violated(
            fmt::format("a replica of {} waits though node {} has room", group.spec.name, node_id));
      }
      break;
    }
  }
  waits_with_room_ = std::move(waits);
}

void Checkers::check_copies(const cloud::Fleet& fleet,
                            const std::vector<std::unique_ptr<SimNode>>& nodes,
                            const Network& network, bool cloud_up) {
  ++checks_;
  std::map<std::string, size_t> copies;
  for (const auto& node : nodes) {
    const cloud::Node* known = fleet.nodes.find(node->machine_id());
    const bool hears = cloud_up && node->agent_runs() && !network.is_cut(node->index()) &&
                       known != nullptr && known->online();
    if (!hears) continue;
    for (const std::string& run : node->driver().live()) {
      const std::string allocation = allocation_of(*node->driver().find_spec(run));
      const auto slot = slot_of_.find(allocation);
      if (slot == slot_of_.end()) continue;
      // What is being stopped may take its grace; only what is wanted counts as a copy.
      const cloud::Allocation* row = fleet.allocations.find(allocation);
      const bool told_to_stop = row != nullptr && row->wish.stop;
      const bool leaving = row != nullptr && row->leaving();
      if (!told_to_stop && !leaving) ++copies[slot->second];
    }
  }
  std::map<std::string, TimePoint> doubled;
  for (const auto& [slot, count] : copies) {
    if (count < 2) continue;
    const auto since = doubled_since_.find(slot);
    const TimePoint begin = since == doubled_since_.end() ? clock_.now() : since->second;
    if (clock_.now() - begin > kDoubledMax) {
      violated(fmt::format("{} started copies of replica {} for {} s", count, slot,
                           to_seconds(clock_.now() - begin)));
    }
    doubled[slot] = begin;
  }
  doubled_since_ = std::move(doubled);
}

bool Checkers::starts_now(const cloud::Allocation& allocation) const {
  const Duration age = clock_.wall_now() - from_unix_nanos(allocation.update_time);
  const bool creating = allocation.state() == api::InstanceState::Creating && age < kStartMax;
  const bool not_probed = allocation.state() == api::InstanceState::Running && age < kProbedMax;
  return allocation.counts() && (creating || (not_probed && !allocation.ready()));
}

// It may well go on, at the pace of starts; but it may not stand where it could.
void Checkers::check_update(const cloud::Fleet& fleet, const cloud::Group& group) {
  int32_t under_way = 0;
  int32_t old = 0;
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const cloud::Allocation& allocation = fleet.allocations.at(id);
    if (!allocation.counts() || allocation.done()) continue;
    if (allocation.wish.version != group.version) {
      ++old;
    } else if (!allocation.serves() || starts_now(allocation)) {
      ++under_way;
    }
  }
  if (old > 0 && under_way < cloud::update_step(fleet.settings, group)) {
    violated(fmt::format("{} of {} are of an old version, and only {} are on their way", old,
                         group.spec.name, under_way));
  }
}

void Checkers::check_healed(const cloud::Fleet& fleet,
                            const std::vector<std::unique_ptr<SimNode>>& nodes) {
  ++checks_;
  std::set<std::string> wanted;
  for (const auto& [id, allocation] : fleet.allocations.all()) {
    const cloud::Group& group = fleet.groups.at(allocation.group_id);
    if (allocation.done()) continue;
    wanted.insert(id);
    if (starts_now(allocation)) continue;
    if (allocation.leaving() && clock_.wall_now() >= from_unix_nanos(allocation.leave_by)) {
      violated(fmt::format("allocation {} never left its drained node", id));
    }
    if (allocation.wish.stop || allocation.lost) {
      violated(fmt::format("allocation {} of {} never ended", id, group.spec.name));
    } else if (!allocation.placed() && cloud::waiting_reason(fleet, group).empty()) {
      violated(fmt::format("a replica of {} waits without a reason", group.spec.name));
    } else if (allocation.placed() && !allocation.serves()) {
      violated(fmt::format("allocation {} of {} does not serve: {}, ready {}, run {} of {}", id,
                           group.spec.name, enum_name(allocation.state()), allocation.ready(),
                           allocation.status.run, allocation.wish.run));
    }
  }
  for (const auto& [id, group] : fleet.groups.all()) {
    if (group.update) check_update(fleet, group);
  }
  std::set<std::string> running;
  for (const auto& node : nodes) {
    for (const std::string& run : node->driver().live()) {
      const std::string allocation = allocation_of(*node->driver().find_spec(run));
      if (!wanted.contains(allocation)) {
        violated(fmt::format("a container of nobody runs on node {}", node->machine_id()));
      }
      if (!running.insert(allocation).second) {
        violated(fmt::format("allocation {} runs twice", allocation));
      }
    }
  }
  for (const auto& [id, allocation] : fleet.allocations.all()) {
    const bool settled = allocation.placed() && !allocation.done() && !starts_now(allocation);
    if (settled && !running.contains(id)) {
      violated(fmt::format("allocation {} is said to run and does not", id));
    }
  }
}

}  // namespace mesclun::sim
