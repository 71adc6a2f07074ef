// Reaches the cloud's node port over the network.
#pragma once

#include "http/client.h"
#include "link/session.h"

namespace mesclun::gateway {

class CloudDialer final : public link::Dialer {
 public:
  CloudDialer(Clock& clock, Endpoint cloud) : clock_(clock), cloud_(std::move(cloud)) {}

  Task<Result<link::SessionPtr>> dial() override {
    CO_TRY(ConnPtr conn, co_await mesclun::dial(cloud_, clock_, kLimit));
    conn->set_deadline(clock_.now() + kLimit);
    CO_TRY(
        ConnPtr upgraded,
        co_await http_upgrade(std::move(conn), cloud_.to_string(), std::string(link::kRoutesPath),
                              std::string(link::kSessionProtocol), HeaderList()));
    upgraded->set_deadline(TimePoint::max());
    const auto executor = co_await asio::this_coro::executor;
    co_return link::make_conn_session(std::move(upgraded), executor, clock_);
  }

 private:
  static constexpr Duration kLimit = 10s;
  Clock& clock_;
  const Endpoint cloud_;
};

}  // namespace mesclun::gateway
