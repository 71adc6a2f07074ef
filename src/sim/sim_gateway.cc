#include "sim/sim_gateway.h"

#include <fmt/format.h>

#include "base/scope.h"

namespace mesclun::sim {

struct SimGateway::Life {
  explicit Life(SimGateway& gateway)
      : table(gateway.clock_, make_node),
        session(gateway.clock_, gateway.random_, settings(gateway), gateway, table),
        scope(gateway.executor_, "gateway") {
    scope.spawn(session.run());
  }
  static gateway::RouteSessionSettings settings(const SimGateway& gateway) {
    gateway::RouteSessionSettings settings;
    settings.name = gateway.name_;
    settings.gateway_token = gateway.token_;
    settings.tunnel_endpoint = gateway.name_ + ":8803";
    return settings;
  }
  // None has a tunnel.
  static gateway::NodePtr make_node(const std::string& id) {
    return std::make_shared<gateway::Node>(gateway::Node{.id = id, .tunnels = {}});
  }

  gateway::RouteTable table;
  gateway::RouteSession session;
  Scope scope;
};

SimGateway::SimGateway(size_t peer, const asio::any_io_executor& executor, Clock& clock,
                       Random& random, Network& network, std::string token)
    : peer_(peer),
      name_(fmt::format("gateway-{}", peer)),
      executor_(executor),
      clock_(clock),
      random_(random),
      network_(network),
      token_(std::move(token)) {}

SimGateway::~SimGateway() = default;

void SimGateway::boot() {
  if (!life_) life_ = std::make_unique<Life>(*this);
}

Task<void> SimGateway::end() {
  if (!life_) co_return;
  co_await life_->scope.stop();
  life_.reset();
}

bool SimGateway::connected() const {
  return life_ != nullptr && life_->session.connected();
}

std::map<std::string, link::Route> SimGateway::routes() const {
  std::map<std::string, link::Route> routes;
  if (!life_) return routes;
  life_->table.for_each(
      [&](const gateway::Group& group) { routes[group.route().dns] = group.route(); });
  return routes;
}

}  // namespace mesclun::sim
