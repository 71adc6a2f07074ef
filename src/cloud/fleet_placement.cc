#include "cloud/fleet_placement.h"

#include "api/event_names.h"
#include "cloud/fleet_steps.h"

namespace mesclun::cloud {

namespace {

std::vector<PlacementRequest> requests_of(const Fleet& fleet) {
  std::vector<PlacementRequest> out;
  for (const std::string& id : fleet.allocations.waiting()) {
    const Allocation& allocation = fleet.allocations.at(id);
    const Group& group = fleet.groups.at(allocation.group_id);
    out.push_back({.allocation_id = id,
                   .group_id = group.id,
                   .priority = api::effective_priority(group.spec),
                   .resources = group.spec.container.resources,
                   .country_codes = group.spec.country_codes,
                   .waiting_since = allocation.create_time});
  }
  return out;
}

std::vector<NodeOffer> offers(const Fleet& fleet, Moment now) {
  std::vector<NodeOffer> out;
  for (const std::string& id : fleet.nodes.offered()) {
    out.push_back(offer_of(fleet, fleet.nodes.at(id), now));
  }
  return out;
}

void place(Fleet& fleet, const Placement& placement, Moment now) {
  const Allocation& placed =
      fleet.allocations.change(placement.allocation_id, [&](Allocation& allocation) {
        allocation.node_id = placement.node_id;
        allocation.wish.nodes_left = placement.nodes_left;
        allocation.update_time = to_unix_nanos(now.wall);
      });
  add_event(fleet, placed, api::event::kAllocated, "", now);
}

void describe(Fleet& fleet, const std::string& group_id, const std::string& text) {
  if (fleet.groups.at(group_id).description == text) return;
  fleet.groups.change(group_id, [&](Group& group) { group.description = text; });
}

}  // namespace

NodeOffer empty_offer(const Node& node) {
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
  return offer;
}

NodeOffer offer_of(const Fleet& fleet, const Node& node, Moment now) {
  NodeOffer offer = empty_offer(node);
  for (const std::string& id : fleet.allocations.on_node(node.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.done()) continue;
    const Group& group = fleet.groups.at(allocation.group_id);
    occupy(offer, group.id, group.spec.container.resources);
  }
  offer.excluded = fleet.exclusions.of_node(node.id, to_unix_nanos(now.wall));
  return offer;
}

void place_waiting(Fleet& fleet, Moment now) {
  const int64_t wall = to_unix_nanos(now.wall);
  if (fleet.exclusion_ends != 0 && wall >= fleet.exclusion_ends) fleet.marks.place = true;
  if (!fleet.marks.place) return;
  fleet.marks.place = false;
  fleet.exclusion_ends = 0;
  if (fleet.allocations.waiting().empty()) return;
  const PlacementPlan plan = plan_placements(requests_of(fleet), offers(fleet, now));
  std::set<std::string> placed;
  for (const Placement& placement : plan.placements) {
    placed.insert(fleet.allocations.at(placement.allocation_id).group_id);
    place(fleet, placement, now);
  }
  for (const std::string& group_id : placed) {
    if (!plan.misfits.contains(group_id)) describe(fleet, group_id, "");
  }
  for (const auto& [group_id, misfit] : plan.misfits) {
    describe(fleet, group_id, misfit.text());
    const int64_t ends = misfit.excluded > 0 ? fleet.exclusions.first_end(group_id, wall) : 0;
    if (ends == 0) continue;
    if (fleet.exclusion_ends == 0 || ends < fleet.exclusion_ends) fleet.exclusion_ends = ends;
  }
}

}  // namespace mesclun::cloud
