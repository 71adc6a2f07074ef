// One Check call of the gRPC health protocol (grpc.health.v1), over HTTP/2 without TLS by nghttp2.
#pragma once

#include <string>

#include "base/conn.h"

namespace mesclun::agent {

// "SERVING", or what the server said instead: "NOT_SERVING", "SERVICE_UNKNOWN", "gRPC status 5".
// Errors: the connection's; InvalidArgument, what came is no answer to that call.
Task<Result<std::string>> grpc_health_check(Conn& conn, std::string authority, std::string service);

}  // namespace mesclun::agent
