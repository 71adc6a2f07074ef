#include "cloud/placement_outlook.h"

#include <algorithm>

#include "cloud/fleet_placement.h"

namespace mesclun::cloud {

bool may_be_placed(const PlacementRequest& request, std::span<const OutlookNode> nodes) {
  const IsExcluded never = [](const std::string&) { return false; };
  return nodes.empty() || std::ranges::any_of(nodes, [&](const OutlookNode& node) {
           return !node.has_one && !node.barred && could_carry(request, node.empty, never);
         });
}

bool placement_may_change(const Fleet& fleet, const Group& group, Moment now) {
  const int64_t soon = to_unix_nanos(now.wall + kExclusionOutwaited);
  std::set<std::string> taken;
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.placed() && allocation.counts()) taken.insert(allocation.node_id);
  }
  std::vector<OutlookNode> nodes;
  for (const auto& [id, node] : fleet.nodes.all()) {
    nodes.push_back(
        {.empty = empty_offer(node),
         .has_one = taken.contains(id),
         .barred = node.banned || node.drained || fleet.exclusions.holds(group.id, id, soon)});
  }
  return may_be_placed(request_of(group), nodes);
}

int32_t count_available(const Fleet& fleet, const api::AvailabilityQuery& query) {
  PlacementRequest request{.group_id = {},
                           .share = share_of(query.resources),
                           .gpu_classes = query.resources.gpu_classes,
                           .country_codes = query.country_codes};
  std::ranges::sort(request.country_codes);
  const IsExcluded nobody = [](const std::string&) { return false; };
  int32_t count = 0;
  for (size_t number = 0; number < fleet.offers.numbers(); ++number) {
    const NodeOffer* offer = fleet.offers.at(number);
    if (offer != nullptr && fit_of(request, *offer, nobody) == Fit::Yes) ++count;
  }
  return count;
}

}  // namespace mesclun::cloud
