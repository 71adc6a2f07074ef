// How an agent reaches gateways over the network: it dials, nobody dials it.
#pragma once

#include "agent/tunnel_dialer.h"

namespace mesclun::agent {

class GatewayDialer final : public TunnelDialer {
 public:
  explicit GatewayDialer(Clock& clock) : clock_(clock) {}
  Task<Result<>> carry(std::string gateway, std::string ticket, ConnectInstance connect,
                       std::function<void()> up) override;

 private:
  Clock& clock_;
};

}  // namespace mesclun::agent
