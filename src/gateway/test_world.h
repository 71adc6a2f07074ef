// For tests: a gateway in virtual time, nodes that host small applications behind real tunnels, and
// clients over memory connections.
#pragma once

#include "base/race.h"
#include "base/test_conn.h"
#include "base/test_loop.h"
#include "gateway/gateway.h"
#include "gateway/refusal.h"
#include "http/client.h"

namespace mesclun::gateway {

// The cloud is away: tests hand routes to the table themselves.
class NoCloud final : public link::Dialer {
 public:
  Task<Result<link::SessionPtr>> dial() override { co_return Error::unavailable("no cloud"); }
};

// An application: serves one connection until it wants no more of it.
using App = std::function<Task<Result<>>(ConnPtr)>;

class TestWorld {
 public:
  explicit TestWorld(GatewaySettings settings = {});
  ~TestWorld();

  // A node with a tunnel of its own; again for another tunnel of the same node.
  void add_node(const std::string& machine_id);
  // Connections to this instance go to `app`; without one they are refused.
  void set_app(const std::string& instance_id, App app) { apps_[instance_id] = std::move(app); }
  void set_routes(std::vector<link::Route> routes, std::vector<link::RouteKey> keys = {});
  // A client's end of a connection to the gateway.
  ConnPtr connect();
  link::Tunnel& node_tunnel(const std::string& machine_id) { return *nodes_.at(machine_id); }
  Group& group(std::string_view host) { return *gateway.table().find(host); }
  void run(Task<Result<>> body) { loop.run(std::move(body)); }
  void spawn(Task<Result<>> task) { scope.spawn(quietly(std::move(task))); }

  VirtualLoop loop;
  Clock& clock = loop.clock;
  SeededRandom random{1};
  NoCloud cloud;
  Gateway gateway;
  Scope scope;
  // Connects that a node gets are answered after this long.
  Duration connect_delay{};
  size_t connects = 0;

 private:
  static Task<Result<>> quietly(Task<Result<>> task);
  Task<Result<ConnPtr>> connect_app(link::TunnelTarget target);

  std::map<std::string, App> apps_;
  std::map<std::string, std::shared_ptr<link::Tunnel>> nodes_;
  std::vector<std::shared_ptr<link::Tunnel>> all_tunnels_;
};

// A route with ready instances "i1" on "m1", "i2" on "m2", ... of "g.example".
link::Route make_route(int instances);

// Every instance of the route is on a node of its own, and answers with what it was asked.
struct EchoWorld : TestWorld {
  explicit EchoWorld(link::Route route = make_route(1), GatewaySettings settings = {});
};

// Answers every request in good order with `handler`.
App http_app(Clock& clock, std::function<Task<HttpResponse>(HttpRequest)> handler);
// Answers with the method, target, headers and body that arrived.
App echo_app(Clock& clock);
// Reads a request's head, then writes `answer`, and ends: orderly, or with a reset.
App raw_app(Clock& clock, std::string answer, bool then_reset);

// One call over a connection of its own.
Task<Result<HttpReply>> call(TestWorld& world, HttpCall call);
// A GET, for its status and X-Gateway-Error: "503 no_instance"; "200 " from the application.
Task<Result<std::string>> get_status(TestWorld& world, std::string host, std::string target = "/");
Task<Result<std::string>> read_until(Conn& conn, std::string end);

}  // namespace mesclun::gateway
