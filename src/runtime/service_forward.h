// Services of this machine's loopback, for runs with a network of their own.
#pragma once

#include <memory>

#include "base/socket_conn.h"

namespace mesclun::runtime {

// Carries the connections that come in at `listener`, inside the run's network, to `service`, 256 at
// once; until the listener is closed.
Task<Result<>> forward_service(std::shared_ptr<Listener> listener, Endpoint service, Clock& clock);

}  // namespace mesclun::runtime
