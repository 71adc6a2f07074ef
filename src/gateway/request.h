// One request, as the parts of its exchange see it.
#pragma once

#include "gateway/client_connection.h"
#include "gateway/forward_head.h"

namespace mesclun::gateway {

using MaybeRefusal = std::optional<Refusal>;

struct Request {
  Proxy& proxy;
  ClientConnection& client;
  const TimePoint arrived;
  RequestPlan plan;             // once its head is understood
  GroupPtr group;               // once its host is known
  TimePoint seeking = arrived;  // an instance, since then
  // Of the last instance; zero where it did not come that far.
  TimePoint placed;       // has a place
  TimePoint connected;    // has a stream
  TimePoint answered;     // the head of an answer is here
  uint64_t bytes_in = 0;  // of bodies and of what follows an upgrade
  uint64_t bytes_out = 0;

  const ProxyLimits& limits() const { return proxy.limits(); }
  TimePoint now() const { return proxy.clock().now(); }
  bool client_gone() const { return client.input().gone(); }
  // For its instance to be reached.
  TimePoint send_deadline() const {
    return seeking + std::chrono::milliseconds(group->route().client_request_timeout_ms);
  }
  Duration response_timeout() const {
    return std::chrono::milliseconds(group->route().server_response_timeout_ms);
  }
};

// Nobody is left to answer to.
inline Refusal nobody() {
  return {0, "client_gone", ""};
}

}  // namespace mesclun::gateway
