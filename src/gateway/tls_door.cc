#include "gateway/tls_door.h"

#include "base/log.h"

namespace mesclun::gateway {

TlsDoor::TlsDoor(const asio::any_io_executor& executor, Clock& clock, TlsDoorLimits limits,
                 std::function<void(TlsAccepted)> enter)
    : clock_(clock),
      limits_(limits),
      enter_(std::move(enter)),
      room_(executor, limits.handshakes_max),
      scope_(executor, "gateway TLS") {}

void TlsDoor::serve(Listener listener, std::shared_ptr<CertificateFiles> certificates) {
  scope_.spawn(watch(certificates));
  scope_.spawn(accept_loop(std::make_shared<Listener>(std::move(listener)), certificates));
}

Task<Result<>> TlsDoor::watch(std::shared_ptr<CertificateFiles> certificates) {
  co_return co_await certificates->watch(clock_);
}

Task<Result<>> TlsDoor::accept_loop(std::shared_ptr<Listener> listener,
                                    std::shared_ptr<CertificateFiles> certificates) {
  while (true) {
    CO_TRY(ConnPtr conn, co_await listener->accept(clock_));
    greet(std::move(conn), certificates->server());
  }
}

void TlsDoor::greet(ConnPtr conn, std::shared_ptr<const TlsServer> server) {
  scope_.spawn(let_in(std::move(conn), std::move(server)));
}

Task<Result<>> TlsDoor::let_in(ConnPtr conn, std::shared_ptr<const TlsServer> server) {
  const bool in_time = co_await room_.stay(clock_, limits_.handshake_timeout,
                                           shake_hands(std::move(conn), std::move(server)));
  if (!in_time) ++failures_;
  co_return Result<>();
}

Task<Result<>> TlsDoor::shake_hands(ConnPtr conn, std::shared_ptr<const TlsServer> server) {
  const std::string peer = conn->peer_address();
  // The room knows the limit; this one is later, and never met.
  Result<TlsAccepted> accepted = co_await accept_tls(std::move(conn), std::move(server), clock_,
                                                     2 * limits_.handshake_timeout);
  if (accepted) {
    enter_(*std::move(accepted));
  } else if (accepted.code() != ErrorCode::Cancelled) {
    ++failures_;
    log_debug("gateway", "no TLS handshake",
              {{"peer", peer}, {"problem", accepted.error().message}});
  }
  co_return Result<>();
}

Task<void> TlsDoor::stop() {
  co_await scope_.stop();
}

}  // namespace mesclun::gateway
