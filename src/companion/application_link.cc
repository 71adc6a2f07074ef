#include "companion/application_link.h"

#include "http/forward.h"

namespace mesclun::companion {

namespace {

// The application is on this machine: a connect takes long only when its backlog is full.
constexpr Duration kConnectMax = 10s;

}  // namespace

ApplicationLink::ApplicationLink(Clock& clock, Endpoint endpoint)
    : clock_(clock),
      dial_([&clock, endpoint](Duration limit) { return dial(endpoint, clock, limit); }),
      host_(endpoint.is_unix ? "localhost" : endpoint.to_string()) {}

Task<Result<>> ApplicationLink::probe(Duration limit) {
  CO_TRY(const ConnPtr conn, co_await dial_(limit));
  co_return Result<>();
}

Task<Result<ApplicationLink::Leased>> ApplicationLink::lease(TimePoint deadline, bool fresh) {
  if (fresh) idle_.clear();
  if (ConnPtr kept = idle_.take(kKeepAlways, clock_.now())) {
    kept->set_deadline(deadline);
    Leased leased{std::move(kept), true};
    co_return leased;
  }
  const Duration left = deadline - clock_.now();
  if (left <= Duration{}) co_return Error::deadline("the deadline has passed");
  CO_TRY(ConnPtr conn, co_await dial_(std::min<Duration>(left, kConnectMax)));
  conn->set_deadline(deadline);
  Leased leased{std::move(conn), false};
  co_return leased;
}

Task<bool> ApplicationLink::is_unread(const Conn& conn, uint64_t first) {
  // The kernel may need a moment to hear of it.
  for (int i = 0; i < 5; ++i) {
    if (conn.is_lost_after(first)) co_return true;
    if (!co_await clock_.sleep_for(2ms)) break;
  }
  co_return false;
}

void ApplicationLink::give_back(ConnPtr conn) {
  idle_.put(kKeepAlways, clock_.now(), std::move(conn));
}

Task<Result<HttpReply>> ApplicationLink::call_once(HttpCall call, TimePoint deadline,
                                                   size_t body_bytes_max, bool fresh,
                                                   bool& repeatable) {
  CO_TRY(Leased leased, co_await lease(deadline, fresh));
  const uint64_t written = leased.conn->written();
  const bool harmless = is_idempotent(call.method);
  bool keep_alive = false;
  Result<HttpReply> reply =
      co_await http_call(*leased.conn, std::move(call), host_, body_bytes_max, keep_alive);
  if (!reply) {
    repeatable = leased.reused && reply.code() == ErrorCode::Unavailable &&
                 (harmless || co_await is_unread(*leased.conn, written));
  }
  if (keep_alive) give_back(std::move(leased.conn));
  co_return reply;
}

Task<Result<HttpReply>> ApplicationLink::call(HttpCall call, TimePoint deadline,
                                              size_t body_bytes_max) {
  bool repeatable = false;
  HttpCall again;
  if (idle_.size() > 0) again = call;
  Result<HttpReply> reply =
      co_await call_once(std::move(call), deadline, body_bytes_max, false, repeatable);
  if (!reply && repeatable) {
    co_return co_await call_once(std::move(again), deadline, body_bytes_max, true, repeatable);
  }
  co_return reply;
}

}  // namespace mesclun::companion
