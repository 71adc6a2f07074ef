#include "companion/application_link.h"

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
  if (!fresh && !idle_.empty()) {
    Leased leased{std::move(idle_.back()), true};
    idle_.pop_back();
    leased.conn->set_deadline(deadline);
    co_return leased;
  }
  const Duration left = deadline - clock_.now();
  if (left <= Duration{}) co_return Error::deadline("the deadline has passed");
  CO_TRY(ConnPtr conn, co_await dial_(std::min<Duration>(left, kConnectMax)));
  conn->set_deadline(deadline);
  Leased leased{std::move(conn), false};
  co_return leased;
}

void ApplicationLink::give_back(ConnPtr conn) {
  if (idle_.size() >= kIdleMax) return;
  // The last request's deadline must not end it while it is idle.
  conn->set_deadline(TimePoint::max());
  idle_.push_back(std::move(conn));
}

Task<Result<HttpReply>> ApplicationLink::call_once(HttpCall call, TimePoint deadline,
                                                   size_t body_bytes_max, bool fresh,
                                                   bool& reused) {
  CO_TRY(Leased leased, co_await lease(deadline, fresh));
  reused = leased.reused;
  bool keep_alive = false;
  CO_TRY(HttpReply reply,
         co_await http_call(*leased.conn, std::move(call), host_, body_bytes_max, keep_alive));
  if (keep_alive) give_back(std::move(leased.conn));
  co_return reply;
}

Task<Result<HttpReply>> ApplicationLink::call(HttpCall call, TimePoint deadline,
                                              size_t body_bytes_max) {
  bool reused = false;
  HttpCall again;
  if (!idle_.empty()) again = call;
  Result<HttpReply> reply =
      co_await call_once(std::move(call), deadline, body_bytes_max, false, reused);
  if (!reply && reused && reply.code() == ErrorCode::Unavailable) {
    idle_.clear();  // they are as old
    co_return co_await call_once(std::move(again), deadline, body_bytes_max, true, reused);
  }
  co_return reply;
}

}  // namespace mesclun::companion
