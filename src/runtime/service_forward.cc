#include "runtime/service_forward.h"

#include "base/notify.h"
#include "base/race.h"
#include "base/scope.h"

namespace mesclun::runtime {

namespace {

constexpr Duration kDialLimit = 10s;
// At most this many connections at once of one run to one service; more wait.
constexpr size_t kServiceConnectionsMax = 256;

Task<void> carry(Conn& from, Conn& to) {
  std::string buffer(16 * 1024, '\0');
  while (true) {
    const Result<size_t> n = co_await from.read_some(asio::buffer(buffer));
    if (!n) break;
    if (*n == 0) {
      to.shutdown_write();
      co_return;
    }
    if (!co_await to.write(std::string_view(buffer.data(), *n))) break;
  }
  // One side broke: so does the other.
  from.abort();
  to.abort();
}

Task<Result<>> forward_one(ConnPtr inside, Endpoint service, Clock& clock, Notify& ended) {
  Result<ConnPtr> outside = co_await dial(std::move(service), clock, kDialLimit);
  if (outside) {
    co_await join(carry(*inside, **outside), carry(**outside, *inside));
  } else {
    inside->abort();
  }
  ended.notify_all();
  co_return Result<>();
}

Task<Result<>> accept_all(Listener& listener, Endpoint service, Clock& clock, Scope& connections,
                          Notify& ended) {
  while (true) {
    while (connections.running() >= kServiceConnectionsMax) CO_TRY_DO(co_await ended.wait());
    CO_TRY(ConnPtr inside, co_await listener.accept(clock));
    connections.spawn(forward_one(std::move(inside), service, clock, ended));
  }
}

}  // namespace

Task<Result<>> forward_service(std::shared_ptr<Listener> listener, Endpoint service, Clock& clock) {
  const auto executor = co_await asio::this_coro::executor;
  Notify ended(executor);
  Scope connections(executor, "service " + service.to_string());
  // It ends when the listener is closed, with the run.
  const Result<> accepted = co_await accept_all(*listener, service, clock, connections, ended);
  co_await connections.stop();
  if (!accepted && accepted.code() == ErrorCode::Cancelled) co_return accepted;
  co_return Result<>();
}

}  // namespace mesclun::runtime
