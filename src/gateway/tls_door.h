// Where clients come in over TLS.
#pragma once

#include <functional>

#include "base/scope.h"
#include "base/socket_conn.h"
#include "gateway/certificate_files.h"
#include "http/brief_room.h"

namespace mesclun::gateway {

struct TlsDoorLimits {
  // Whoever comes last pushes out who came first, so that strangers who say nothing keep nobody out.
  size_t handshakes_max = 1000;
  Duration handshake_timeout = 10s;
};

// Runs on:   the gateway's loop. The clock outlives it; stop() must have returned before it is
//            destroyed.
class TlsDoor {
 public:
  // `enter` takes over whoever has shaken hands.
  TlsDoor(const asio::any_io_executor& executor, Clock& clock, TlsDoorLimits limits,
          std::function<void(TlsAccepted)> enter);

  // Shows `certificates`, and looks after their files.
  void serve(Listener listener, std::shared_ptr<CertificateFiles> certificates);
  // One connection.
  void greet(ConnPtr conn, std::shared_ptr<const TlsServer> server);
  // Takes nobody any more; handshakes under way end.
  Task<void> stop();

  size_t handshakes() const { return room_.visits(); }
  uint64_t failures() const { return failures_; }

 private:
  Task<Result<>> accept_loop(std::shared_ptr<Listener> listener,
                             std::shared_ptr<CertificateFiles> certificates);
  Task<Result<>> watch(std::shared_ptr<CertificateFiles> certificates);
  Task<Result<>> let_in(ConnPtr conn, std::shared_ptr<const TlsServer> server);
  Task<Result<>> shake_hands(ConnPtr conn, std::shared_ptr<const TlsServer> server);

  Clock& clock_;
  const TlsDoorLimits limits_;
  const std::function<void(TlsAccepted)> enter_;
  BriefRoom room_;
  uint64_t failures_ = 0;
  Scope scope_;
};

}  // namespace mesclun::gateway
