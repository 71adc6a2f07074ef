// How an agent reaches the cloud and the gateways over the network: it dials, nobody dials it.
#pragma once

#include "agent/tunnel_dialer.h"
#include "base/socket_conn.h"
#include "link/session.h"

namespace mesclun::agent {

inline constexpr std::string_view kTicketHeader = "Mesclun-Tunnel-Ticket";

// Upgrades an HTTP connection to the cloud's node port.
class CloudDialer final : public link::Dialer {
 public:
  CloudDialer(Endpoint cloud, const asio::any_io_executor& executor, Clock& clock)
      : cloud_(std::move(cloud)), executor_(executor), clock_(clock) {}
  Task<Result<link::SessionPtr>> dial() override;

 private:
  const Endpoint cloud_;
  const asio::any_io_executor executor_;
  Clock& clock_;
};

class GatewayDialer final : public TunnelDialer {
 public:
  GatewayDialer(const asio::any_io_executor& executor, Clock& clock)
      : executor_(executor), clock_(clock) {}
  Task<Result<>> carry(std::string gateway, std::string ticket, ConnectInstance connect,
                       std::function<void()> up) override;

 private:
  const asio::any_io_executor executor_;
  Clock& clock_;
};

}  // namespace mesclun::agent
