#include "agent/gateway_dialer.h"

#include "link/tunnel.h"
#include "link/upgrade.h"

namespace mesclun::agent {

Task<Result<>> GatewayDialer::carry(std::string gateway, std::string ticket,
                                    ConnectInstance connect, std::function<void()> up) {
  CO_TRY(Endpoint endpoint, parse_endpoint(gateway));
  CO_TRY(ConnPtr conn, co_await link::dial_upgrade(std::move(endpoint), clock_,
                                                   link::kTunnelUpgrade, std::move(ticket)));
  auto to_instance = [connect = std::move(connect)](link::TunnelTarget target) {
    return connect(std::move(target.instance_id), target.port);
  };
  const auto executor = co_await asio::this_coro::executor;
  const std::unique_ptr<link::Tunnel> tunnel =
      link::Tunnel::accepting(executor, std::move(conn), clock_, std::move(to_instance));
  up();
  co_return co_await tunnel->run();
}

}  // namespace mesclun::agent
