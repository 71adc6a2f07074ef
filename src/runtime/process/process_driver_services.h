// Lets runs with a network of their own reach a service on this machine's loopback, at the same
// address as outside.
#pragma once

#include "base/scope.h"
#include "runtime/process/process_driver_run.h"

namespace mesclun::runtime {

// At most this many connections at once of one run to one service; more wait.
inline constexpr size_t kServiceConnectionsMax = 256;

// Carries the connections that come in at `listener` to `service`, until the listener is closed.
Task<Result<>> forward_service(std::shared_ptr<Listener> listener, Endpoint service, Clock& clock);

}  // namespace mesclun::runtime
