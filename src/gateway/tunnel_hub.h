// The tunnels of all nodes: who dialled, which is used, and until when.
#pragma once

#include <unordered_map>

#include "base/scope.h"
#include "gateway/node.h"
#include "http/server.h"

namespace mesclun::gateway {

// Runs on:  the gateway's loop.
// Order:    the newest tunnel of a node takes new streams; older ones keep theirs until they
//           break. A broken one is out at once.
class TunnelHub {
 public:
  // `check_ticket` gives the machine id of a ticket; `on_up` is called after each new tunnel.
  TunnelHub(const asio::any_io_executor& executor, Clock& clock, link::TunnelLimits limits,
            std::function<Result<std::string>(std::string_view ticket)> check_ticket,
            std::function<void()> on_up);

  // Accepts tunnels there: link::kTunnelUpgrade with the ticket.
  void serve(Listener listener);
  // Takes a connection whose ticket another loop has checked already (`mesclun up` shares one node
  // port): post this to executor(). Owns the descriptor at once.
  void adopt(int descriptor, std::string machine_id, std::string read_ahead);
  void add(std::string machine_id, ConnPtr conn);
  Task<void> stop();

  // One object a node for as long as anybody holds it, whether it has a tunnel or not.
  NodePtr node(const std::string& id);
  size_t tunnels() const { return tunnels_; }
  const asio::any_io_executor& executor() const { return scope_.executor(); }

 private:
  static constexpr size_t kTunnelsOfMachineMax = 4;
  static constexpr size_t kTunnelsMax = 20'000;

  Task<HttpResponse> answer(HttpRequest request);
  Task<Result<>> keep(NodePtr node, std::shared_ptr<link::Tunnel> tunnel);

  Clock& clock_;
  const link::TunnelLimits limits_;
  const std::function<Result<std::string>(std::string_view)> check_ticket_;
  const std::function<void()> on_up_;
  std::unordered_map<std::string, std::weak_ptr<Node>> nodes_;
  size_t tunnels_ = 0;
  Scope scope_;
  HttpServer server_;
};

}  // namespace mesclun::gateway
