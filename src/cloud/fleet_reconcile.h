// The turn of the fleet's loop: brings what is into line with what is wanted.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

// Silent nodes, numbers of replicas, placement, states of groups: only what was marked is looked
// at, and no more than a turn may take. What is left stays marked.
void reconcile(Fleet& fleet, Moment now);
// How long until reconcile() has something to do again by itself: zero if a turn left work;
// nothing: until somebody comes, or a node has been silent for too long.
std::optional<Duration> idle_time(const Fleet& fleet, Moment now);
// How many allocations the commands of this turn have changed, or made reconcile() change.
size_t allocations_touched(const Fleet& fleet);

}  // namespace mesclun::cloud
