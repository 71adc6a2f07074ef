// Machines that the operator empties in order.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

// The machine takes nothing new, also after a restart of the cloud, until undrain_node(). What serves
// there goes on until its successor serves elsewhere; where no node has room for one, it ends at
// once, as does what does not serve yet. A replica that may be done one day (restart policy
// on_failure or never) never runs twice: it ends first. Nobody is kept away from the machine for it.
// Again: nothing more.
// Errors: NotFound, no such machine.
Result<> drain_node(Fleet& fleet, const std::string& node_id, Moment now);
// What is still there stays, unless its successor serves already.
Result<> undrain_node(Fleet& fleet, const std::string& node_id, Moment now);

// Of the turn, see reconcile().

// When what begins to leave now does so at the latest, unix ns.
int64_t latest_leave(const Fleet& fleet, Moment now);
// Those whose time is over end.
void end_late_moves(Fleet& fleet, Moment now);
// Of the group's leaving replicas, those that nobody is to follow yet.
std::vector<std::string> slots_without_successor(const Fleet& fleet, const Group& group);
// After placement: ends what is not needed any more. False: a successor waits for its turn to be
// placed, so that the group is to be looked at in the next turn too.
bool follow_moves(Fleet& fleet, const Group& group, Moment now);

}  // namespace mesclun::cloud
