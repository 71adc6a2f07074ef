// The turn of the loop: silent nodes, numbers of replicas, placement, states of groups.
#include <fmt/format.h>

#include <algorithm>

#include "cloud/fleet.h"

namespace mesclun::cloud {

void Fleet::reconcile(Moment now) {
  lose_silent_nodes(now);
  forget_old_exclusions(now);
  // Scaling may free rooms and make groups dirty once more, which placement then sees.
  const std::set<std::string> dirty = std::exchange(dirty_groups_, {});
  for (const std::string& id : dirty) {
    if (const auto found = groups_.find(id); found != groups_.end()) scale(found->second, now);
  }
  place_waiting(now);
  std::set<std::string> touched = std::exchange(dirty_groups_, {});
  touched.insert(dirty.begin(), dirty.end());
  for (const std::string& id : touched) {
    if (const auto found = groups_.find(id); found != groups_.end()) {
      update_status(found->second, now);
    }
  }
  dirty_groups_.clear();
}

void Fleet::lose_silent_nodes(Moment now) {
  for (auto& [node_id, node] : nodes_) {
    if (node.silent_beyond_grace || now.steady < node.last_heard + settings_.node_grace) continue;
    node.silent_beyond_grace = true;
    node.session = 0;
    node.reported = false;
    const std::set<std::string> here = by_node_[node_id];
    for (const std::string& id : here) {
      Allocation& allocation = allocations_.at(id);
      if (allocation.done() || allocation.lost) continue;
      if (allocation.wish.stop) {
        erase(id);
        continue;
      }
      add_event(allocation, "Instance Interrupted (Node Offline)", "", now);
      allocation.lost = true;
      allocation.update_time = to_unix_nanos(now.wall);
      changed(allocation);
      add_allocation(groups_.at(allocation.group_id), allocation.slot, now);
    }
  }
}

void Fleet::scale(Group& group, Moment now) {
  const std::set<std::string> members = by_group_[group.id];
  if (!group.started) {
    for (const std::string& id : members) {
      Allocation& allocation = allocations_.at(id);
      // A finished group keeps its finished replicas, so that it can say how it went.
      if (allocation.done() && group.delete_time == 0 &&
          group.status != api::GroupStatus::Stopped) {
        continue;
      }
      if (!allocation.wish.stop) release(allocation, now);
    }
    return;
  }
  size_t count = 0;
  for (const std::string& id : members) {
    if (allocations_.at(id).counts()) ++count;
  }
  const auto wanted = static_cast<size_t>(group.spec.replicas);
  for (; count < wanted; ++count) add_allocation(group, "", now);
  if (count > wanted) shrink(group, count - wanted, now);
}

// Not yet running first, then the cheapest, not ready before ready, the youngest (lifecycle.md §9,
// imds.md §6).
void Fleet::shrink(Group& group, size_t surplus, Moment now) {
  std::vector<Allocation*> candidates;
  for (const std::string& id : by_group_[group.id]) {
    Allocation& allocation = allocations_.at(id);
    if (allocation.counts()) candidates.push_back(&allocation);
  }
  std::ranges::sort(candidates, {}, [](const Allocation* a) {
    const bool running = a->state() == api::InstanceState::Running;
    return std::tuple(running, a->placed(), running ? a->deletion_cost() : 0, a->ready(),
                      -a->running_since, -a->create_time, a->id);
  });
  candidates.resize(std::min(surplus, candidates.size()));
  std::vector<std::pair<std::string, std::string>> victims;
  for (const Allocation* victim : candidates) victims.emplace_back(victim->id, victim->slot);
  for (const auto& [id, slot] : victims) {
    forget_lost_of_slot(group.id, slot);
    release(allocations_.at(id), now);
  }
}

void Fleet::update_status(Group& group, Moment now) {
  if (group.gone) return;
  size_t members = 0;
  size_t running = 0;
  size_t done = 0;
  size_t failed = 0;
  size_t counted = 0;
  bool waits = false;
  for (const std::string& id : by_group_[group.id]) {
    const Allocation& allocation = allocations_.at(id);
    ++members;
    if (!allocation.counts()) continue;
    ++counted;
    waits = waits || !allocation.placed();
    if (allocation.done()) ++done;
    if (allocation.status.outcome == link::RunOutcome::Failed) ++failed;
    if (!allocation.done() && allocation.state() == api::InstanceState::Running) ++running;
  }
  if (group.delete_time != 0 && members == 0) {
    group.gone = true;
    changed(group);
    return;
  }
  if (!group.started) return;
  if (!waits && !group.description.empty()) {
    group.description.clear();
    changed(group);
  }
  api::GroupStatus status = group.status;
  if (counted > 0 && done == counted) {
    status = failed > 0 ? api::GroupStatus::Failed : api::GroupStatus::Succeeded;
    group.started = false;
    group.finish_time = to_unix_nanos(now.wall);
    group.description = failed > 0 ? fmt::format("{} of {} replicas failed.", failed, counted) : "";
  } else if (running > 0) {
    status = api::GroupStatus::Running;
  }
  if (status == group.status) return;
  group.status = status;
  changed(group);
}

void Fleet::place_waiting(Moment now) {
  if (exclusion_ends_ != 0 && to_unix_nanos(now.wall) >= exclusion_ends_) place_again_ = true;
  if (!place_again_) return;
  place_again_ = false;
  exclusion_ends_ = 0;
  if (waiting_.empty()) return;
  std::vector<PlacementRequest> requests;
  for (const std::string& id : waiting_) {
    const Allocation& allocation = allocations_.at(id);
    const Group& group = groups_.at(allocation.group_id);
    requests.push_back({.allocation_id = id,
                        .group_id = group.id,
                        .priority = api::effective_priority(group.spec),
                        .resources = group.spec.container.resources,
                        .country_codes = group.spec.country_codes,
                        .waiting_since = allocation.create_time});
  }
  const PlacementPlan plan = plan_placements(std::move(requests), offers(now));
  std::set<std::string> placed_groups;
  for (const Placement& placement : plan.placements) {
    Allocation& allocation = allocations_.at(placement.allocation_id);
    placed_groups.insert(allocation.group_id);
    allocation.wish.nodes_left = placement.nodes_left;
    place(allocation, placement.node_id, now);
  }
  for (auto& [group_id, group] : groups_) {
    const auto misfit = plan.misfits.find(group_id);
    const bool waits = misfit != plan.misfits.end();
    if (!waits && !placed_groups.contains(group_id)) continue;
    const std::string text = waits ? misfit->second.text() : "";
    if (text != group.description) {
      group.description = text;
      changed(group);
    }
    if (waits && misfit->second.excluded > 0) note_exclusion_end(group_id, now);
  }
}

void Fleet::note_exclusion_end(const std::string& group_id, Moment now) {
  for (const auto& [key, until] : exclusions_) {
    if (key.second != group_id || until <= to_unix_nanos(now.wall)) continue;
    if (exclusion_ends_ == 0 || until < exclusion_ends_) exclusion_ends_ = until;
  }
}

// When the map has doubled: each entry is looked at a constant number of times in all.
void Fleet::forget_old_exclusions(Moment now) {
  if (exclusions_.size() < 2 * exclusions_pruned_size_ + 1000) return;
  std::erase_if(exclusions_,
                [&](const auto& entry) { return entry.second <= to_unix_nanos(now.wall); });
  exclusions_pruned_size_ = exclusions_.size();
}

NodeOffer Fleet::offer_of(const Node& node, Moment now) const {
  const link::NodeFacts& facts = node.facts;
  NodeOffer offer{.node_id = node.id,
                  .country = facts.country,
                  .cpu_free = facts.cpu,
                  .memory_free_mb = facts.memory_mb,
                  .storage_free_mb = facts.storage_mb,
                  .cpu = facts.cpu,
                  .memory_mb = facts.memory_mb,
                  .has_gpu = !facts.gpus.empty()};
  for (const link::GpuFacts& gpu : facts.gpus) offer.gpu_classes_free.push_back(gpu.class_id);
  for (const std::string& id : allocations_on(node.id)) {
    const Allocation& allocation = allocations_.at(id);
    if (allocation.done()) continue;
    const api::Resources& used = groups_.at(allocation.group_id).spec.container.resources;
    offer.groups.insert(allocation.group_id);
    offer.cpu_free -= used.cpu;
    offer.memory_free_mb -= used.memory;
    offer.storage_free_mb -= used.storage_amount.value_or(int64_t{1} << 30) / (1024 * 1024);
    ++offer.instances;
    const auto gpu = std::ranges::find_first_of(offer.gpu_classes_free, used.gpu_classes);
    if (gpu != offer.gpu_classes_free.end()) offer.gpu_classes_free.erase(gpu);
  }
  for (auto entry = exclusions_.lower_bound({node.id, ""});
       entry != exclusions_.end() && entry->first.first == node.id; ++entry) {
    if (entry->second > to_unix_nanos(now.wall)) offer.excluded.insert(entry->first.second);
  }
  return offer;
}

std::vector<NodeOffer> Fleet::offers(Moment now) const {
  std::vector<NodeOffer> offers;
  for (const auto& [id, node] : nodes_) {
    if (!node.online() || node.mode != link::NodeMode::Active) continue;
    offers.push_back(offer_of(node, now));
  }
  return offers;
}

TimePoint Fleet::next_deadline(Moment now) const {
  TimePoint next = TimePoint::max();
  for (const auto& [id, node] : nodes_) {
    if (!node.silent_beyond_grace) next = std::min(next, node.last_heard + settings_.node_grace);
  }
  if (exclusion_ends_ != 0) {
    const Duration wait(std::max<int64_t>(0, exclusion_ends_ - to_unix_nanos(now.wall)));
    next = std::min(next, now.steady + wait);
  }
  return next;
}

}  // namespace mesclun::cloud
