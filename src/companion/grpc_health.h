// The gRPC health protocol (grpc.health.v1) over HTTP/2 without TLS, by nghttp2.
#pragma once

#include <functional>

#include "base/conn.h"
#include "companion/health_judge.h"

namespace mesclun::companion {

// Serves one connection until it ends. Services: "" and "live" are SERVING while the application is
// alive, "ready" while it is Ready; any other is unknown. Watch tells of a change
// within 250 ms. At most 32 calls at a time.
Task<Result<>> serve_grpc_health(ConnPtr conn, Clock& clock, std::function<HealthVerdict()> health);

// The service of a HealthCheckRequest, from its protobuf bytes; InvalidArgument for nonsense.
Result<std::string> parse_health_request(std::string_view message);

}  // namespace mesclun::companion
