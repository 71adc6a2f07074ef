// The sockets that listen inside a run's network and are served by this process.
#pragma once

#include "base/scope.h"
#include "runtime/process/run.h"

namespace mesclun::runtime {

// Fetches them from the living shim: the one for the metadata service, and those where the run
// reaches `services` of this machine's loopback at the same address as outside. Connections to
// these are carried over by tasks of `scope`, until the run has ended. `services` outlives them.
Task<Result<>> take_listeners(std::shared_ptr<Run> run, const std::vector<Endpoint>& services,
                              Scope& scope, Clock& clock);

}  // namespace mesclun::runtime
