// The turn of the fleet's loop: brings what is into line with what is wanted.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

// Silent nodes, numbers of replicas, placement, states of groups: only what was marked is looked
// at.
void reconcile(Fleet& fleet, Moment now);
// When reconcile() has something to do although nothing was marked; max() for never.
TimePoint next_deadline(const Fleet& fleet, Moment now);

}  // namespace mesclun::cloud
