// What the gateway knows about itself, for people and for Prometheus.
#pragma once

#include <string>

#include "gateway/proxy.h"
#include "gateway/tunnel_hub.h"
#include "http/server.h"

namespace mesclun::gateway {

// The text format of Prometheus, version 0.0.4.
std::string metrics_text(const RouteTable& table, const Proxy& proxy, const TunnelHub& hub);
// One JSON object: every group with its instances, counts and streams.
std::string state_json(const RouteTable& table, const Proxy& proxy, const TunnelHub& hub);

}  // namespace mesclun::gateway
