// How an agent or a gateway reaches the cloud.
#pragma once

#include "base/socket_conn.h"
#include "link/session.h"
#include "link/upgrade.h"

namespace mesclun::link {

// Replaced in tests and in the simulator.
class Dialer {
 public:
  virtual ~Dialer() = default;
  // Unavailable: refused or unreachable.
  virtual Task<Result<SessionPtr>> dial() = 0;
};

// Over the network, to the cloud's node port: kSessionUpgrade for agents, kRoutesUpgrade for
// gateways.
class CloudDialer final : public Dialer {
 public:
  CloudDialer(Clock& clock, Endpoint cloud, Upgrade upgrade)
      : clock_(clock), cloud_(std::move(cloud)), upgrade_(upgrade) {}
  Task<Result<SessionPtr>> dial() override {
    CO_TRY(ConnPtr conn, co_await dial_upgrade(cloud_, clock_, upgrade_));
    co_return make_conn_session(std::move(conn), co_await asio::this_coro::executor, clock_);
  }

 private:
  Clock& clock_;
  const Endpoint cloud_;
  const Upgrade upgrade_;
};

}  // namespace mesclun::link
