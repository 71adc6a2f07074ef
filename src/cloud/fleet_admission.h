// Machines that the operator puts out of the cloud.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

// Each takes the machine's replicas away at once; reconcile places others. Its session is void from
// then on: who holds it says so and ends it.
// Errors: NotFound, no such machine.

// As if it had never been here: it is let in again as an unknown machine, by a join token.
// FailedPrecondition: it is banned, which would be forgotten too.
Result<> forget_node(Fleet& fleet, const std::string& node_id, Moment now);
// Not let in again, whatever it shows, until unban_node().
Result<> ban_node(Fleet& fleet, const std::string& node_id, Moment now);
Result<> unban_node(Fleet& fleet, const std::string& node_id);

}  // namespace mesclun::cloud
