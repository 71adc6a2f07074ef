// Whether it makes sense to wait for a place: plain functions.
#pragma once

#include <span>

#include "api/availability.h"
#include "cloud/fleet.h"

namespace mesclun::cloud {

// A machine that the cloud knows, as far as it matters to a replica that waits.
struct OutlookNode {
  NodeOffer empty;       // as if nothing ran there
  bool has_one = false;  // an instance of the group is to stay there
  bool barred = false;   // banned, drained by the operator, or excluded for longer than one waits
};

// Nobody waits longer than this for an exclusion to end: it is the default of --wait.
inline constexpr Duration kExclusionOutwaited = 10min;

// Whether one of the nodes may come to take a replica by itself: it is busy, silent, paused, or
// excluded for a short while. False: none can, whatever runs there; somebody has to change something.
// Without any node the first may be about to join.
bool may_be_placed(const PlacementRequest& request, std::span<const OutlookNode> nodes);
bool placement_may_change(const Fleet& fleet, const Group& group, Moment now);

// How many machines would take a replica now that needs this. Looks at every machine once.
int32_t count_available(const Fleet& fleet, const api::AvailabilityQuery& query);

}  // namespace mesclun::cloud
