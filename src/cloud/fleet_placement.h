// Brings waiting replicas to nodes: what each node offers, and when it is worth looking again.
#pragma once

#include "cloud/fleet.h"
#include "cloud/placement_planner.h"

namespace mesclun::cloud {

// The machine as if nothing ran on it.
NodeOffer empty_offer(const Node& node);
// What is left of it now.
NodeOffer offer_of(const Fleet& fleet, const Node& node, Moment now);

// Does nothing unless something changed that lets a waiting replica fit.
void place_waiting(Fleet& fleet, Moment now);

}  // namespace mesclun::cloud
