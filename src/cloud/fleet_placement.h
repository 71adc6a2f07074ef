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
PlacementRequest request_of(const std::string& group_id, const api::GroupSpec& spec);
inline PlacementRequest request_of(const Group& group) {
  return request_of(group.id, group.spec);
}

// Brings the offers of changed nodes up to date, then places replicas that may fit now, by priority
// and age, until none is left or the slice is used up; the marks keep what is left to do. What
// fitted nowhere is looked at again when a node changes so that it fits.
void place_waiting(Fleet& fleet, const PlacementSlice& slice, Moment now);

// How an allocation on a node comes by what a new version of its group needs.
struct Refit {
  Share held;                      // what both versions need
  std::optional<CardChoice> card;  // another GPU than before
  std::string gpu;                 // the one that it is to use from now on
  bool restarts = false;           // a run keeps its GPU
};
// Nothing: its node does not carry the new version.
std::optional<Refit> refit_of(const Fleet& fleet, const Allocation& allocation, const Group& group);
void refit(Fleet& fleet, const Allocation& allocation, const Refit& how);
// The node carries out what is wanted: it holds no more than that from now on.
void settle(Fleet& fleet, const Allocation& allocation, const Group& group);

}  // namespace mesclun::cloud
