// How tunnels to gateways are made; the node's end of link/tunnel.h, or a fake.
#pragma once

#include <functional>
#include <string>

#include "base/conn.h"

namespace mesclun::agent {

// Where a stream of a tunnel leads.
using ConnectInstance =
    std::function<Task<Result<ConnPtr>>(std::string instance_id, uint16_t port)>;

class TunnelDialer {
 public:
  virtual ~TunnelDialer() = default;
  // Dials the gateway's tunnel endpoint, shows the ticket, calls `up` once it stands, and carries
  // streams until it breaks. Unavailable: it broke or could not be dialled; Unauthenticated or
  // PermissionDenied: the ticket is refused.
  virtual Task<Result<>> carry(std::string gateway, std::string ticket, ConnectInstance connect,
                               std::function<void()> up) = 0;
};

}  // namespace mesclun::agent
