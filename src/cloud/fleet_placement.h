// Brings waiting replicas to nodes: what each node offers, and when it is worth looking again.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

// How much of it one turn does.
struct PlacementSlice {
  uint64_t looks_max = 50'000;  // offers and branches of trees: about 10 ms
  size_t placements_max = 256;  // as many rows to store, and nodes to tell
};

// The machine as if nothing ran on it.
NodeOffer empty_offer(const Node& node);
// Takes what the allocation holds away from it; false, and nothing, where that does not fit.
bool hold(NodeOffer& offer, const Allocation& allocation, const PlacementRequest& request);
// The machine and what is left of it now.
NodeOffer offer_of(const Fleet& fleet, const Node& node);
PlacementRequest request_of(const Group& group);

// Brings the offers of changed nodes up to date, then places replicas that may fit now, by priority
// and age, until none is left or the slice is used up; the marks keep what is left to do. What
// fitted nowhere is looked at again when a node changes so that it fits.
void place_waiting(Fleet& fleet, const PlacementSlice& slice, Moment now);

// A new version of the group, for an allocation on a node: whether the node still carries it. Then
// the allocation holds what both versions need.
bool refit(Fleet& fleet, const Allocation& allocation, const Group& group);
// The node carries out what is wanted: it holds no more than that from now on.
void settle(Fleet& fleet, const Allocation& allocation, const Group& group);

}  // namespace mesclun::cloud
