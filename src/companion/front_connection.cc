#include "companion/front_connection.h"

#include <algorithm>

#include "base/race.h"
#include "companion/grpc_health.h"
#include "companion/queued_exchange.h"
#include "companion/relay.h"

namespace mesclun::companion {

namespace {

constexpr Duration kHeadTimeout = 10s;
constexpr Duration kPageTimeout = 30s;
// A connection that waits for longer than the busy do needs no task.
constexpr Duration kRestAfter = 1s;
// A question whether it has started is answered when it has, so that nobody must ask often to hear of
// it at once.
constexpr Duration kStartedWait = 30s;
constexpr Duration kStartedLook = 50ms;

}  // namespace

Task<Result<>> FrontConnection::run() {
  Clock& clock = front_.clock();
  const Duration idle = front_.config().front.idle_timeout;
  for (bool first = true;; first = false) {
    if (caller_.input().bytes().empty()) {
      // Between requests; before the first one a caller is given less time.
      const TimePoint until = clock.now() + (first ? kHeadTimeout : idle);
      caller_.conn().set_deadline(std::min(until, clock.now() + kRestAfter));
      const Result<bool> more = co_await caller_.input().fill();
      if (!more && more.code() == ErrorCode::DeadlineExceeded) rests_until_ = until;
      if (!more || !*more) co_return Result<>();
    }
    caller_.conn().set_deadline(clock.now() + kHeadTimeout);
    if (first) {
      const Result<bool> http2 = co_await caller_.is_http2();
      if (!http2) co_return Result<>();
      if (*http2) {
        co_return co_await serve_grpc_health(caller_.take_conn(), clock, [&pages = pages_] {
          HealthVerdict verdict = pages.health();
          if (pages.is_ready(verdict)) verdict.health = Health::Ready;
          return verdict;
        });
      }
    }
    const Result<bool> head = co_await caller_.read_head();
    Next next = Next::Close;
    if (head && *head) {
      next = co_await serve_request();
    } else if (!head && head.code() == ErrorCode::InvalidArgument) {
      next = co_await caller_.refuse({400, "bad_request", head.error().message, {}}, true);
    } else {
      co_return Result<>();
    }
    if (co_await cancel_requested()) co_return Error::cancelled();
    switch (next) {
      case Next::KeepAlive:
        continue;
      case Next::Close:
        caller_.conn().shutdown_write();
        co_return Result<>();
      case Next::Linger:
        co_await caller_.linger();
        co_return Result<>();
      case Next::Broken:
        caller_.conn().abort();
        co_return Result<>();
      case Next::Upgraded:
      case Next::Gone:
        co_return Result<>();
    }
  }
}

Task<Next> FrontConnection::serve_request() {
  CallerRequest& request = caller_.request();
  if (only_pages_) request.keep_alive = false;
  if (!only_pages_ && pages_.is_awaited(request.path()) && !co_await wait_until_started()) {
    co_return Next::Gone;
  }
  if (std::optional<StatusPage> page = pages_.find(request.path())) {
    co_return co_await serve_page(std::move(*page));
  }
  if (only_pages_) {
    co_return co_await caller_.refuse({503, "connections_full", "too many connections", 1s},
                                      !caller_.body_done());
  }
  Result<CallerWish> wish = read_wish(request.head.headers, front_.config().front);
  if (!wish) {
    co_return co_await caller_.refuse({400, "bad_deadline", wish.error().message, {}},
                                      request.has_body());
  }
  request.wish = *wish;
  request.deadline = front_.clock().now() + wish->timeout;
  const bool unread = !caller_.body_done();
  if (unread && request.is_websocket()) {
    co_return co_await caller_.refuse({400, "bad_request", "an upgrade has no body", {}}, true);
  }
  if (is_direct()) co_return co_await serve_direct();
  QueuedExchange queued(caller_, front_);
  co_return co_await queued.run();
}

// False: the caller has left.
Task<bool> FrontConnection::wait_until_started() {
  caller_.conn().set_deadline(TimePoint::max());
  bool gone = false;
  co_await race(until_started(), caller_.watch(gone));
  co_return !gone && !co_await cancel_requested();
}

Task<void> FrontConnection::until_started() {
  Clock& clock = front_.clock();
  const TimePoint end = clock.now() + kStartedWait;
  while (pages_.is_awaited(caller_.request().path()) && clock.now() < end) {
    if (!co_await clock.sleep_for(kStartedLook)) co_return;
  }
}

// Not counted with the answers: probes would hide the callers.
Task<Next> FrontConnection::serve_page(StatusPage page) {
  const CallerRequest& request = caller_.request();
  BodyBuffer::Share share(front_.bodies());
  if (std::optional<Refusal> refusal = co_await caller_.read_body(share)) {
    co_return co_await caller_.refuse(std::move(*refusal), true);
  }
  std::string out;
  append_page(page.status, page.content_type, page.body, request.keep_alive, request.to_head(),
              out);
  caller_.conn().set_deadline(front_.clock().now() + kPageTimeout);
  if (!co_await caller_.conn().write(out)) co_return Next::Gone;
  co_return request.keep_alive ? Next::KeepAlive : Next::Close;
}

bool FrontConnection::is_direct() {
  return std::ranges::any_of(
      front_.config().front.direct_paths,
      [path = caller_.request().path()](const auto& prefix) { return path.starts_with(prefix); });
}

// Takes no place in the queue.
Task<Next> FrontConnection::serve_direct() {
  BodyBuffer::Share share(front_.bodies());
  if (std::optional<Refusal> refusal = co_await caller_.read_body(share)) {
    co_return co_await caller_.refuse(std::move(*refusal), true);
  }
  if (std::optional<Refusal> refusal = front_.not_ready()) {
    co_return co_await caller_.refuse(std::move(*refusal), false);
  }
  caller_.conn().set_deadline(TimePoint::max());
  bool gone = false;
  Next next = Next::Gone;
  Relay relay(caller_, front_, [](const Front::ExchangeEnd&) {});
  co_await race(relay.run(next), caller_.watch(gone));
  if (gone) co_return Next::Gone;
  if (next == Next::Upgraded) co_await relay.splice();
  co_return next;
}

}  // namespace mesclun::companion
