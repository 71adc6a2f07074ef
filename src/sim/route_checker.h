// What must hold of the routes that gateways have.
#pragma once

#include "cloud/fleet.h"
#include "sim/sim_gateway.h"
#include "sim/sim_node.h"

namespace mesclun::sim {

using Nodes = std::vector<std::unique_ptr<SimNode>>;

// Throughout: what a gateway takes for ready can have been it. Looks at what really runs on the
// machines: a run that was not started yet, or where nobody listens yet although the group is
// probed for it, was never ready.
std::vector<std::string> unready_routes(const SimGateway& gateway, const cloud::Fleet& fleet,
                                        const Nodes& nodes);

// After the faults have stopped and time has passed: it has the cloud's routes and no others.
std::vector<std::string> wrong_routes(const SimGateway& gateway, const cloud::Fleet& fleet);

}  // namespace mesclun::sim
