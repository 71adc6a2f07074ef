#include "gateway/tunnel_hub.h"

#include "api/problem.h"
#include "base/log.h"
#include "link/upgrade.h"

namespace mesclun::gateway {

namespace {

HttpResponse refuse(const Error& error) {
  HttpResponse response;
  response.status = http_status(error.code);
  response.headers.set("Content-Type", api::kProblemMediaType);
  response.body = api::problem_json(error);
  return response;
}

HttpLimits handshake_limits() {
  HttpLimits limits;
  limits.head_bytes_max = 8 * 1024;
  limits.body_bytes_max = 0;
  limits.idle_timeout = 10s;
  return limits;
}

}  // namespace

TunnelHub::TunnelHub(const asio::any_io_executor& executor, Clock& clock, link::TunnelLimits limits,
                     std::function<Result<std::string>(std::string_view ticket)> check_ticket,
                     std::function<void()> on_up)
    : clock_(clock),
      limits_(limits),
      check_ticket_(std::move(check_ticket)),
      on_up_(std::move(on_up)),
      scope_(executor, "tunnels"),
      server_(
          executor, clock, "tunnel handshakes", handshake_limits(),
          [this](HttpRequest request) { return answer(std::move(request)); }, refuse) {}

void TunnelHub::serve(Listener listener) {
  server_.serve(std::move(listener));
}

Task<HttpResponse> TunnelHub::answer(HttpRequest request) {
  if (request.path() != link::kTunnelUpgrade.path)
    co_return refuse(Error::not_found("no such path"));
  Result<HttpResponse> response = link::accept_upgrade(request, link::kTunnelUpgrade);
  if (!response) co_return refuse(response.error());
  Result<std::string> node = check_ticket_(link::shown_ticket(request));
  if (!node) {
    log_warning("gateway", "tunnel refused",
                {{"peer", request.peer}, {"reason", node.error().message}});
    co_return refuse(node.error());
  }
  response->upgrade = [this, id = std::move(*node)](ConnPtr conn) { add(id, std::move(conn)); };
  co_return *std::move(response);
}

void TunnelHub::adopt(int descriptor, std::string machine_id, std::string read_ahead) {
  Result<ConnPtr> conn = adopt_descriptor(executor(), descriptor);
  if (!conn) {
    log_warning("gateway", "a tunnel broke while it was handed over",
                {{"machine", machine_id}, {"error", conn.error().message}});
    return;
  }
  add(std::move(machine_id), with_read_ahead(std::move(*conn), std::move(read_ahead)));
}

void TunnelHub::add(std::string machine_id, ConnPtr conn) {
  if (scope_.stopping() || tunnels_ >= kTunnelsMax) {
    conn->close();
    return;
  }
  const NodePtr node = this->node(machine_id);
  log_info("gateway", "tunnel up", {{"machine", machine_id}, {"peer", conn->peer_address()}});
  std::shared_ptr<link::Tunnel> tunnel =
      link::Tunnel::opening(executor(), std::move(conn), clock_, limits_);
  // The oldest goes: an agent that dials again and again has given up on it.
  size_t up = 0;
  for (auto it = node->tunnels.rbegin(); it != node->tunnels.rend(); ++it) {
    if ((*it)->up() && ++up >= kTunnelsOfMachineMax) (*it)->close();
  }
  node->tunnels.push_back(tunnel);
  ++tunnels_;
  scope_.spawn(keep(node, std::move(tunnel)));
  on_up_();
}

Task<Result<>> TunnelHub::keep(NodePtr node, std::shared_ptr<link::Tunnel> tunnel) {
  const Result<> end = co_await tunnel->run();
  std::erase(node->tunnels, tunnel);
  --tunnels_;
  if (end.code() != ErrorCode::Cancelled) {
    log_info("gateway", "tunnel down", {{"machine", node->id}, {"reason", end.error().message}});
  }
  co_return Result<>();
}

NodePtr TunnelHub::node(const std::string& id) {
  std::weak_ptr<Node>& slot = nodes_[id];
  NodePtr node = slot.lock();
  if (node) return node;
  // Forgetting costs a look at all, so it is done when a new one comes.
  std::erase_if(nodes_,
                [&](const auto& entry) { return entry.first != id && entry.second.expired(); });
  node = std::make_shared<Node>();
  node->id = id;
  nodes_[id] = node;
  return node;
}

Task<void> TunnelHub::stop() {
  co_await server_.stop();
  co_await scope_.stop();
}

}  // namespace mesclun::gateway
