// The sessions of gateways: who they are, and the routes and keys that they get.
#pragma once

#include <functional>

#include "base/scope.h"
#include "cloud/accounts.h"
#include "cloud/fleet.h"
#include "link/session.h"

namespace mesclun::cloud {

struct RouteHubSettings {
  std::string gateway_token;
  std::string tunnel_secret;  // given to gateways, so that they can check tickets
  Duration heartbeat = 5s;
  size_t sessions_max = 256;
};

// Runs on: the cloud's loop.
class RouteHub {
 public:
  // `gateways_changed` gets the tunnel endpoints of all gateways that are or were connected.
  RouteHub(const asio::any_io_executor& executor, Clock& clock, RouteHubSettings settings,
           Fleet& fleet, Accounts& accounts, store::Database& database,
           std::function<void(std::vector<std::string>)> gateways_changed);

  // Gateways of before the restart: nodes keep their tunnels to them.
  Task<Result<>> load();
  void serve(link::SessionPtr session);
  void publish(const std::vector<link::Route>& routes);
  void publish_keys();

  struct GatewayView {
    std::string name;
    std::string tunnel_endpoint;
    bool connected = false;
  };
  // Those that are or were connected, by name.
  std::vector<GatewayView> list() const;
  // Nodes drop their tunnels to it, and its session is ended with a Goodbye. One that runs on comes
  // back, because its token lets it in. NotFound: no such gateway.
  Task<Result<>> forget(std::string name);
  // Sessions that began with another token are ended with a Goodbye.
  void set_gateway_token(std::string token);
  Task<void> stop() { return scope_.stop(); }

 private:
  using Endpoints = std::map<std::string, std::string>;  // by gateway name

  Task<Result<>> run_session(link::SessionPtr session);
  Task<Result<>> talk(link::Session& session);
  Result<> check(const link::GatewayHello& hello) const;
  Task<Result<>> remember(std::string name, std::string endpoint);
  Task<Result<>> change_endpoints(std::function<void(Endpoints&)> change);
  Result<> send_all(link::Session& session) const;
  void broadcast(const link::RouteUpdate& update);
  void dismiss(link::Session* session, const Error& why);
  Task<Result<>> close_soon(link::Session* session);
  void tell_gateways();

  Clock& clock_;
  RouteHubSettings settings_;
  Fleet& fleet_;
  Accounts& accounts_;
  store::Database& database_;
  std::function<void(std::vector<std::string>)> gateways_changed_;
  Endpoints endpoints_;
  std::map<link::Session*, std::string> live_;  // with the gateway's name
  Scope scope_;                                 // last: its tasks use the others
};

}  // namespace mesclun::cloud
