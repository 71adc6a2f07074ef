// The sessions of gateways: who they are, and the routes and keys that they get.
#pragma once

#include <functional>

#include "base/scope.h"
#include "cloud/route_sender.h"
#include "cloud/usage_table.h"
#include "http/peer_limit.h"

namespace mesclun::cloud {

struct RouteHubSettings {
  std::string gateway_token;
  std::string tunnel_secret;  // given to gateways, so that they can check tickets
  Duration heartbeat = 5s;
  size_t sessions_max = 256;
  size_t gateways_max = 1024;  // that are remembered, by name
  // Sessions that have not said yet who they are.
  PeerLimits strangers{.all = 256, .of_address = 32};
};

// Runs on: the cloud's loop.
class RouteHub {
 public:
  // `gateways_changed` gets the tunnel endpoints of all gateways that are or were connected.
  RouteHub(const asio::any_io_executor& executor, Clock& clock, RouteHubSettings settings,
           Fleet& fleet, FleetLoop& loop, Accounts& accounts, store::Database& database,
           UsageTable& usage, std::function<void(std::vector<std::string>)> gateways_changed);

  // Gateways of before the restart: nodes keep their tunnels to them.
  Task<Result<>> load();
  void serve(link::SessionPtr session);
  // What is there under the host name now, or that nothing is.
  void publish(const std::set<std::string>& hosts);
  void publish_key(const std::string& key_sha256);

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
  struct Live {
    std::string name;  // of the gateway
    link::Session& session;
    RouteSender& sender;
  };

  Task<Result<>> run_session(link::SessionPtr session, PeerLimit::Place place);
  Task<Result<std::string>> let_in(link::Session& session, PeerLimit::Place place);
  Task<Result<>> talk(link::Session& session, PeerLimit::Place place);
  Task<Result<>> listen(link::Session& session, std::string name);
  Result<> check(const link::GatewayHello& hello) const;
  Task<Result<>> remember(std::string name, std::string endpoint);
  void dismiss(int64_t number, const Error& why);
  Task<Result<>> close_soon(int64_t number);
  void tell_gateways();

  Clock& clock_;
  RouteHubSettings settings_;
  Fleet& fleet_;
  FleetLoop& loop_;
  Accounts& accounts_;
  store::Database& database_;
  UsageTable& usage_;
  std::function<void(std::vector<std::string>)> gateways_changed_;
  std::map<std::string, std::string> endpoints_;  // by gateway name
  PeerLimit strangers_;
  int64_t last_number_ = 0;
  std::map<int64_t, Live> live_;  // by number: in the order in which they were let in
  Scope scope_;                   // last: its tasks use the others
};

}  // namespace mesclun::cloud
