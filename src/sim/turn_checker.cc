#include "sim/turn_checker.h"

#include <algorithm>

#include "sim/placement_rules.h"

namespace mesclun::sim {

namespace {

// From the last sign of life (FleetSettings), here by the word of the docs.
constexpr Duration kGrace = 20s;

// What counts for who goes first when a group shrinks (lifecycle.md §9): whether it runs, and if so
// its cost.
bool runs(const cloud::Allocation& allocation) {
  return allocation.placed() && allocation.status.state == link::RunState::Running;
}

// Less is better; without a GPU always the last (lifecycle.md §6).
int rank_of(const cloud::Group& group) {
  if (group.spec.container.resources.gpu_classes.empty()) {
    return static_cast<int>(api::Priority::Batch);
  }
  return static_cast<int>(group.spec.container.priority.value_or(api::Priority::High));
}

int32_t cost_of(const cloud::Allocation& allocation) {
  const bool seen = allocation.status.deletion_cost_change >= allocation.wish.deletion_cost_change;
  return seen ? allocation.status.deletion_cost : allocation.wish.deletion_cost;
}

}  // namespace

TurnChecker::AllocationBefore TurnChecker::before_of(const cloud::Fleet& fleet,
                                                     const cloud::Allocation& allocation) {
  return {.group_id = allocation.group_id,
          .node_id = allocation.node_id,
          .instance_id = allocation.status.instance_id,
          .run = allocation.wish.run,
          .counts = allocation.counts(),
          .lost = allocation.lost,
          .serves = allocation.serves(),
          .updating = fleet.groups.at(allocation.group_id).update.has_value()};
}

TurnChecker::GroupBefore TurnChecker::before_of(const cloud::Group& group) {
  return {.version = group.version,
          .replicas = group.spec.replicas,
          .start_time = group.start_time,
          .stopped = group.status == api::GroupStatus::Stopped,
          .deleted = group.delete_time != 0};
}

void TurnChecker::remember(const cloud::Fleet& fleet) {
  known_ = true;
  std::erase_if(allocations_,
                [&](const auto& row) { return fleet.allocations.find(row.first) == nullptr; });
  for (const auto& [id, allocation] : fleet.allocations.all()) {
    allocations_[id] = before_of(fleet, allocation);
  }
  std::erase_if(groups_, [&](const auto& row) { return fleet.groups.find(row.first) == nullptr; });
  for (const auto& [id, group] : fleet.groups.all()) groups_[id] = before_of(group);
}

void TurnChecker::cloud_started(const cloud::Fleet& fleet, TimePoint since) {
  cloud_start_ = since;
  // Said to one that is dead, and perhaps not stored; it will be said anew.
  succeeded_.clear();
  remember(fleet);
}

void TurnChecker::forget() {
  known_ = false;
  succeeded_.clear();
  allocations_.clear();
  groups_.clear();
}

void TurnChecker::look(const cloud::Fleet& fleet, const std::set<std::string>& succeeded) {
  ++looks_;
  succeeded_.insert(succeeded.begin(), succeeded.end());
  std::set<std::string> placed_now;
  for (const auto& [id, allocation] : fleet.allocations.all()) {
    const auto before = allocations_.find(id);
    const bool is_new = before == allocations_.end();
    const bool was_placed = !is_new && !before->second.node_id.empty();
    if (known_ && allocation.placed() && !was_placed) placed_now.insert(id);
    if (allocation.lost && !is_new && !before->second.lost) check_lost(allocation);
  }
  for (const std::string& id : placed_now) {
    check_placed(fleet, fleet.allocations.at(id), placed_now);
  }
  for (const auto& [id, before] : allocations_) check_interrupted(fleet, id, before);
  for (const auto& [id, group] : fleet.groups.all()) check_shrunk(fleet, group);
  check_succeeded(fleet);
  check_done(fleet);
  remember(fleet);
}

void TurnChecker::check_lost(const cloud::Allocation& now) {
  const TimePoint heard = std::max(ears_.last_heard(now.node_id), cloud_start_);
  const Duration silence = clock_.now() - heard;
  if (silence >= kGrace) return;
  violations_.add(fmt::format("allocation {} counts as lost after {:.3f} s of silence of node {}",
                              now.id, to_seconds(silence), now.node_id));
}

// Where it is now, and who had to come before it.
void TurnChecker::check_placed(const cloud::Fleet& fleet, const cloud::Allocation& placed,
                               const std::set<std::string>& placed_now) {
  const cloud::Group& group = fleet.groups.at(placed.group_id);
  const cloud::Node* node = fleet.nodes.find(placed.node_id);
  const int rank = rank_of(group);
  if (node == nullptr) {
    violations_.add(fmt::format("a replica of {} is placed on no node", group.spec.name));
    return;
  }
  if (ledger_.sent_away(group.id, node->id)) {
    violations_.add(
        fmt::format("a replica of {} is placed on node {}, from which a user sent it away",
                    group.spec.name, node->id));
  }
  for (const auto& [group_id, line] : fleet.allocations.waiting()) {
    const cloud::Group& other = fleet.groups.at(group_id);
    const int other_rank = rank_of(other);
    const bool waited = std::ranges::any_of(
        line, [&](const auto& waiting) { return allocations_.contains(waiting.second); });
    if (other_rank >= rank || !waited || !is_unchanged(fleet, group_id)) continue;
    std::set<std::string> after_it;
    for (const std::string& id : placed_now) {
      const cloud::Allocation& also = fleet.allocations.at(id);
      if (rank_of(fleet.groups.at(also.group_id)) > other_rank) after_it.insert(id);
    }
    if (has_room(fleet, other, *node, after_it, clock_.wall_now())) {
      violations_.add(
          fmt::format("a replica of {} is placed on node {} before one of {}, which is "
                      "of a better priority",
                      group.spec.name, node->id, other.spec.name));
    }
  }
}

bool TurnChecker::is_unchanged(const cloud::Fleet& fleet, const std::string& group_id) const {
  const cloud::Group* group = fleet.groups.find(group_id);
  const auto before = groups_.find(group_id);
  return group != nullptr && before != groups_.end() && before->second == before_of(*group);
}

// What served and still runs on its machine is taken away, or is to run anew.
void TurnChecker::check_interrupted(const cloud::Fleet& fleet, const std::string& id,
                                    const AllocationBefore& before) {
  if (!before.serves || !before.counts || ledger_.asking()) return;
  // A new version comes in steps, each of which ends some.
  const cloud::Group* group = fleet.groups.find(before.group_id);
  if (before.updating || (group != nullptr && group->update)) return;
  const cloud::Allocation* now = fleet.allocations.find(id);
  const bool ends = now == nullptr || now->wish.stop;
  const bool again = now != nullptr && now->wish.run > before.run;
  if ((!ends && !again) || !runs_(before.node_id, before.instance_id)) return;
  violations_.add(fmt::format("instance {} served on node {} and is {} without a cause",
                              before.instance_id, before.node_id, ends ? "ended" : "run anew"));
}

void TurnChecker::check_shrunk(const cloud::Fleet& fleet, const cloud::Group& group) {
  const auto before = groups_.find(group.id);
  if (before == groups_.end() || !group.started || group.update ||
      group.version != before->second.version || group.spec.replicas >= before->second.replicas ||
      group.start_time != before->second.start_time) {
    return;
  }
  std::vector<const cloud::Allocation*> stay;
  std::vector<const cloud::Allocation*> go;
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const cloud::Allocation& allocation = fleet.allocations.at(id);
    const auto was = allocations_.find(id);
    // One of two copies goes for another reason.
    if (was == allocations_.end() || fleet.allocations.of_slot(allocation.slot).size() > 1)
      continue;
    if (allocation.counts() && !allocation.done()) stay.push_back(&allocation);
    if (allocation.wish.stop && was->second.counts && runs(allocation)) go.push_back(&allocation);
  }
  for (const cloud::Allocation* gone : go) {
    for (const cloud::Allocation* stays : stay) {
      if (runs(*stays) && cost_of(*stays) >= cost_of(*gone)) continue;
      violations_.add(fmt::format("group {} shrinks: instance {} of cost {} ends before {}",
                                  group.spec.name, gone->status.instance_id, cost_of(*gone),
                                  runs(*stays) ? fmt::format("one of cost {}", cost_of(*stays))
                                               : "one that does not run yet"));
      return;
    }
  }
}

void TurnChecker::check_succeeded(const cloud::Fleet& fleet) {
  for (auto id = succeeded_.begin(); id != succeeded_.end();) {
    const cloud::Allocation* allocation = fleet.allocations.find(*id);
    const auto before = allocations_.find(*id);
    const bool counted = before != allocations_.end() && before->second.counts;
    if (allocation != nullptr && allocation->done()) {
      const cloud::Group& group = fleet.groups.at(allocation->group_id);
      done_[*id] = {allocation->slot, group.id, before_of(group)};
    } else if (allocation != nullptr && allocation->counts()) {
      ++id;
      continue;
    } else if (counted && allocation == nullptr && !ledger_.asking() &&
               is_unchanged(fleet, before->second.group_id)) {
      violations_.add(fmt::format("allocation {} succeeded, and is made anew", *id));
    }
    id = succeeded_.erase(id);
  }
}

void TurnChecker::check_done(const cloud::Fleet& fleet) {
  for (auto entry = done_.begin(); entry != done_.end();) {
    const auto& [id, done] = *entry;
    const cloud::Group* group = fleet.groups.find(done.group_id);
    const bool changed = group == nullptr || before_of(*group) != done.group || ledger_.asking();
    const cloud::Allocation* allocation = fleet.allocations.find(id);
    if (!changed && allocation == nullptr) {
      violations_.add(
          fmt::format("allocation {} of {} succeeded, and is forgotten", id, group->spec.name));
    }
    for (const std::string& other : fleet.allocations.of_slot(done.slot)) {
      if (changed || other == id || !fleet.allocations.at(other).counts()) continue;
      violations_.add(fmt::format("replica {} of {} runs again, though it succeeded", done.slot,
                                  group->spec.name));
    }
    // Not done after all: a commit failed, and the node says it once more.
    if (changed || allocation == nullptr || !allocation->done()) {
      entry = done_.erase(entry);
    } else {
      ++entry;
    }
  }
}

}  // namespace mesclun::sim
