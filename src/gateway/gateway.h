// The gateway, put together: clients on one side, tunnels on the other, routes from the cloud.
#pragma once

#include "gateway/metrics.h"
#include "gateway/proxy.h"
#include "gateway/route_session.h"
#include "gateway/tls_door.h"
#include "gateway/tunnel_hub.h"

namespace mesclun::gateway {

struct GatewaySettings {
  RouteSessionSettings session;
  ProxyLimits proxy;
  link::TunnelLimits tunnel;
  TlsDoorLimits tls;
  Duration drain = 10s;  // for requests in flight, at the end
};

// Runs on:  one loop. From another thread, post to executor(); only counters of executor's own
//           thread may be read.
// Lifetime: clock, random and cloud outlive it; stop() must have returned before it is destroyed.
class Gateway {
 public:
  Gateway(const asio::any_io_executor& executor, Clock& clock, Random& random,
          GatewaySettings settings, link::Dialer& cloud);

  void serve_clients(Listener listener) { proxy_.serve(std::move(listener)); }
  void serve_tls_clients(Listener listener, std::shared_ptr<CertificateFiles> certificates) {
    door_.serve(std::move(listener), std::move(certificates));
  }
  void serve_tunnels(Listener listener) { hub_.serve(std::move(listener)); }
  void serve_admin(Listener listener) { admin_.serve(std::move(listener)); }
  // A tunnel that another loop accepted, ticket checked: see TunnelHub::adopt.
  void adopt_tunnel(int descriptor, std::string machine_id, std::string read_ahead) {
    hub_.adopt(descriptor, std::move(machine_id), std::move(read_ahead));
  }
  // Starts the session with the cloud.
  void start();
  Task<void> stop();

  const asio::any_io_executor& executor() const { return scope_.executor(); }
  RouteTable& table() { return table_; }
  TunnelHub& hub() { return hub_; }
  Proxy& proxy() { return proxy_; }
  TlsDoor& door() { return door_; }

 private:
  Task<HttpResponse> answer_admin(HttpRequest request);

  const Duration drain_;
  TunnelHub hub_;
  RouteTable table_;
  Proxy proxy_;
  TlsDoor door_;
  RouteSession session_;
  Scope scope_;
  HttpServer admin_;
};

}  // namespace mesclun::gateway
