// The control plane: every part of it, wired on one loop.
#pragma once

#include "cloud/event_log.h"
#include "cloud/gpu_class_endpoint.h"
#include "cloud/log_sinks.h"
#include "cloud/node_hub.h"
#include "cloud/operator_api.h"
#include "cloud/public_api.h"
#include "cloud/pull_grants.h"
#include "cloud/route_hub.h"

namespace mesclun::cloud {

struct CloudSettings {
  FleetSettings fleet;
  NodeHubSettings nodes;
  RouteHubSettings gateways;
  PublicApiSettings api;
  LogTableSettings logs;
  LogSinkSettings log_sinks;
  HttpLimits http;
  // For development: what tenants name may be in private networks and on this machine, and without
  // TLS.
  bool private_addresses = false;
  std::optional<HttpUrl> ecr_api;  // for development: in place of AWS's own
  KeepSecret keep_secret;          // of rotated tokens; null: they cannot be rotated
  std::string token_issuer = "https://matrix-api.salad.io";
};

// Runs on:  one loop; `executor`'s.
// Lifetime: clock, random and databases outlive it; stop() before its end.
class Cloud : private FleetListener {
 public:
  Cloud(const asio::any_io_executor& executor, Clock& clock, Random& random,
        store::Database& database, store::Database& log_database, CloudSettings settings);

  // Reads the stored state and begins to work.
  Task<Result<>> start();
  Task<void> stop();

  // The HTTP API.
  void serve_api(Listener listener) { api_server_.serve(std::move(listener)); }
  // Agents and gateways.
  void serve_nodes(Listener listener) { node_server_.serve(std::move(listener)); }
  // Tunnels that arrive at the node port, for a gateway in the same process; without it they are
  // refused. The connection has been answered with 101.
  using TunnelHandler = std::function<void(ConnPtr, std::string ticket)>;
  void set_tunnel_handler(TunnelHandler handler) { tunnel_handler_ = std::move(handler); }
  // Sessions that come another way: tests and the simulator.
  void serve_agent(link::SessionPtr session) { node_hub_.serve(std::move(session)); }
  void serve_gateway(link::SessionPtr session) { route_hub_.serve(std::move(session)); }

  // One call of the HTTP API, as serve_api() makes them.
  Task<HttpResponse> handle_api(HttpRequest request);

  Accounts& accounts() { return accounts_; }
  Fleet& fleet() { return fleet_; }
  FleetLoop& fleet_loop() { return fleet_loop_; }
  const GpuClasses& gpu_classes() const { return gpu_classes_; }

 private:
  Task<HttpResponse> handle_node(HttpRequest request);
  link::SessionPtr stranger(ConnPtr conn);

  void send_desired(const std::string& node_id, int64_t session,
                    const link::Desired& desired) override;
  void acknowledge(const std::string& node_id, int64_t session, int64_t sequence) override;
  void publish(const std::set<std::string>& hosts) override;
  void events_added(const std::set<std::string>& group_ids) override;

  asio::any_io_executor executor_;
  Clock& clock_;
  Accounts accounts_;
  GpuClasses gpu_classes_;
  Fleet fleet_;
  FleetLoop fleet_loop_;
  LogTable logs_;
  EventLog event_log_;
  LogSinks log_sinks_;
  UsageTable usage_;
  WorkloadTokens tokens_;
  PullGrants pull_grants_;
  NodeHub node_hub_;
  RouteHub route_hub_;
  PublicApi public_api_;
  GpuClassEndpoint gpu_class_endpoint_;
  MachineEndpoint machine_endpoint_;
  OperatorApi operator_api_;
  TunnelHandler tunnel_handler_;
  HttpServer api_server_;
  HttpServer node_server_;
  Scope loops_;
};

}  // namespace mesclun::cloud
