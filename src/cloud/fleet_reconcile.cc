#include "cloud/fleet_reconcile.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/event_names.h"
#include "cloud/fleet_drain.h"
#include "cloud/fleet_placement.h"
#include "cloud/fleet_steps.h"
#include "cloud/fleet_update.h"

namespace mesclun::cloud {

namespace {

// Nodes that are lost in one turn; the others are a turn later.
constexpr size_t kNodesOfTurnMax = 100;
// Likewise groups whose retention has ended.
constexpr size_t kForgottenOfTurnMax = 100;

int32_t wanted_replicas(const Group& group) {
  return group.started ? group.spec.replicas : 0;
}

void lose(Fleet& fleet, const Allocation& allocation, Moment now) {
  if (allocation.done() || allocation.lost) return;
  if (allocation.wish.stop) {
    fleet.allocations.erase(allocation.id);
    return;
  }
  add_event(fleet, allocation, api::event::kNodeOffline, "", now);
  if (allocation.leaving()) {
    fleet.allocations.erase(allocation.id);
    return;
  }
  fleet.allocations.change(allocation.id, [&](Allocation& lost) {
    lost.lost = true;
    lost.update_time = to_unix_nanos(now.wall);
  });
  add_replica(fleet, fleet.groups.at(allocation.group_id), allocation.slot, now);
}

void lose_silent_nodes(Fleet& fleet, Moment now) {
  for (const std::string& node_id : fleet.nodes.silent_at(now.steady, kNodesOfTurnMax)) {
    fleet.nodes.touch(node_id, [](Node::Live& live) {
      live.silent_beyond_grace = true;
      // One that has just joined may still report in its session.
      if (live.reported) live.session = 0;
      live.reported = false;
    });
    const std::set<std::string> here = fleet.allocations.on_node(node_id);
    for (const std::string& id : here) lose(fleet, fleet.allocations.at(id), now);
  }
}

void end_all(Fleet& fleet, const Group& group, Moment now) {
  // A finished group keeps its finished replicas, so that it can say how it went.
  const bool keeps_done = group.delete_time == 0 && group.status != api::GroupStatus::Stopped;
  const std::set<std::string> members = fleet.allocations.of_group(group.id);
  for (const std::string& id : members) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.done() && keeps_done) continue;
    if (!allocation.wish.stop) release(fleet, id, now);
  }
}

// Not yet running first, then the cheapest, not ready before ready, the youngest (lifecycle.md §9,
// imds.md §6).
void shrink(Fleet& fleet, const Group& group, size_t surplus, Moment now) {
  std::vector<const Allocation*> candidates;
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.counts()) candidates.push_back(&allocation);
  }
  std::ranges::sort(candidates, {}, [](const Allocation* a) {
    const bool running = a->state() == api::InstanceState::Running;
    return std::tuple(running, a->placed(), running ? a->deletion_cost() : 0, a->ready(),
                      -a->running_since, -a->create_time, a->id);
  });
  candidates.resize(std::min(surplus, candidates.size()));
  // None of them is lost, so none ends another.
  for (const Allocation* victim : candidates) {
    forget_lost(fleet, victim->slot);
    release(fleet, victim->id, now);
  }
}

void scale(Fleet& fleet, const Group& group, Moment now) {
  if (!group.started) {
    end_all(fleet, group, now);
    return;
  }
  const int32_t count = fleet.allocations.tally(group.id).counted;
  const int32_t wanted = group.spec.replicas;
  std::vector<std::string> slots;
  if (count < wanted) slots = slots_without_successor(fleet, group);
  for (int32_t have = count; have < wanted; ++have) {
    const std::string slot = slots.empty() ? "" : slots.back();
    if (!slots.empty()) slots.pop_back();
    add_replica(fleet, group, slot, now);
  }
  if (count > wanted) shrink(fleet, group, static_cast<size_t>(count - wanted), now);
}

// What a started group has become of itself.
void follow(const GroupTally& tally, Group& group, Moment now) {
  group.description.clear();
  if (tally.counted > 0 && tally.done == tally.counted) {
    const bool failed = tally.failed > 0;
    group.status = failed ? api::GroupStatus::Failed : api::GroupStatus::Succeeded;
    group.started = false;
    group.update.reset();
    group.finish_time = to_unix_nanos(now.wall);
    group.description =
        failed ? fmt::format("{} of {} replicas failed.", tally.failed, tally.counted) : "";
  } else if (tally.running > 0) {
    group.status = api::GroupStatus::Running;
  }
}

void update_status(Fleet& fleet, const Group& group, Moment now) {
  if (group.gone) return;
  const GroupTally& tally = fleet.allocations.tally(group.id);
  if (group.delete_time != 0 && tally.members == 0) {
    // Its name stays taken for a while; what it ran, and its secrets, are nobody's any more.
    fleet.exclusions.lift_all(group.id, false);
    fleet.groups.change(group.id, [](Group& ended) {
      api::GroupSpec kept;
      kept.name = ended.spec.name;
      ended.spec = std::move(kept);
      ended.update.reset();
      ended.failure.clear();
      ended.gone = true;
    });
    return;
  }
  if (!group.started) return;
  const bool ended = tally.counted > 0 && tally.done == tally.counted;
  const bool runs = tally.running > 0 && group.status != api::GroupStatus::Running;
  const bool told = !group.description.empty();  // of the last time
  if (!ended && !runs && !told) return;
  fleet.groups.change(group.id, [&](Group& changed) { follow(tally, changed, now); });
}

void forget_deleted(Fleet& fleet, Moment now) {
  const int64_t until = to_unix_nanos(now.wall) - fleet.settings.deleted_retention.count();
  for (const std::string& id : fleet.groups.tombstones_until(until, kForgottenOfTurnMax)) {
    fleet.groups.erase(id);
  }
}

}  // namespace

void reconcile(Fleet& fleet, Moment now) {
  std::set<std::string>& review = fleet.marks.review;
  lose_silent_nodes(fleet, now);
  end_late_moves(fleet, now);
  fleet.exclusions.forget_ended(to_unix_nanos(now.wall));
  forget_deleted(fleet, now);
  // Scaling may free rooms and mark groups once more, which placement then sees.
  std::set<std::string> touched = std::exchange(review, {});
  touched.merge(fleet.groups.updates_due(to_unix_nanos(now.wall)));
  for (const std::string& id : touched) scale(fleet, fleet.groups.at(id), now);
  place_waiting(fleet, PlacementSlice{}, now);
  touched.merge(std::exchange(review, {}));
  std::set<std::string> undecided;
  for (const std::string& id : touched) {
    const Group& group = fleet.groups.at(id);
    // In place of what it released; the next turn places that.
    if (go_on_with_update(fleet, group, now)) scale(fleet, group, now);
    if (!follow_moves(fleet, group, now)) undecided.insert(id);
  }
  for (const std::string& id : touched) update_status(fleet, fleet.groups.at(id), now);
  review = std::move(undecided);
}

std::optional<Duration> idle_time(const Fleet& fleet, Moment now) {
  const TurnMarks& marks = fleet.marks;
  const bool left = !marks.review.empty() || !marks.offers.empty() || !marks.seek.empty();
  if (left || fleet.nodes.first_silence() <= now.steady) return Duration::zero();
  std::optional<int64_t> ends;
  const auto ends_at = [&ends](int64_t time) { ends = std::min(ends.value_or(time), time); };
  const int64_t exclusion = fleet.waiting.size() > 0 ? fleet.exclusions.first_end() : 0;
  if (exclusion != 0) ends_at(exclusion);
  if (const int64_t update = fleet.groups.first_update_due(); update != 0) ends_at(update);
  const int64_t tombstone = fleet.groups.first_tombstone();
  if (tombstone != 0) ends_at(retention_end(fleet, tombstone));
  const AllocationTable::Line& leaving = fleet.allocations.leaving();
  if (!leaving.empty()) ends_at(leaving.begin()->first);
  if (!ends) return std::nullopt;
  return Duration(std::max<int64_t>(0, *ends - to_unix_nanos(now.wall)));
}

size_t allocations_touched(const Fleet& fleet) {
  size_t touched = fleet.marks.allocations.size();
  for (const std::string& id : fleet.marks.groups) {
    const int32_t counted = fleet.allocations.tally(id).counted;
    touched += static_cast<size_t>(std::abs(wanted_replicas(fleet.groups.at(id)) - counted));
  }
  return touched;
}

}  // namespace mesclun::cloud
