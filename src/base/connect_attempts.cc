#include "base/connect_attempts.h"

#include <algorithm>

#include "base/notify.h"
#include "base/scope.h"

namespace mesclun {

namespace {

struct Attempts {
  Attempts(const asio::any_io_executor& executor, ConnectTo connect_to)
      : connect(std::move(connect_to)), ended(executor) {}
  const ConnectTo connect;
  ConnPtr won;
  Error last = Error::unavailable("no address");
  size_t begun = 0;
  size_t failed = 0;
  Notify ended;
};

Task<Result<>> attempt(Attempts& attempts, asio::ip::tcp::endpoint address) {
  Result<ConnPtr> conn = co_await attempts.connect(address);
  if (!conn) {
    ++attempts.failed;
    attempts.last = conn.error();
  } else if (!attempts.won) {
    attempts.won = std::move(*conn);
  }
  attempts.ended.notify_all();
  co_return Result<>();
}

Task<Result<>> try_all(Attempts& attempts, Scope& scope, Clock& clock,
                       std::vector<asio::ip::tcp::endpoint> addresses) {
  for (const auto& address : addresses) {
    const size_t failed = attempts.failed;
    ++attempts.begun;
    scope.spawn(attempt(attempts, address));
    const TimePoint next = clock.now() + kAttemptDelay;
    while (!attempts.won && attempts.failed == failed && clock.now() < next) {
      CO_TRY_DO(co_await attempts.ended.wait_until(clock, next));
    }
    if (attempts.won) co_return Result<>();
  }
  while (!attempts.won && attempts.failed < attempts.begun) {
    CO_TRY_DO(co_await attempts.ended.wait());
  }
  co_return Result<>();
}

}  // namespace

std::vector<asio::ip::tcp::endpoint> interleaved(
    const std::vector<asio::ip::tcp::endpoint>& found) {
  if (found.empty()) return {};
  const bool first_is_v6 = found.front().address().is_v6();
  std::vector<asio::ip::tcp::endpoint> same;
  std::vector<asio::ip::tcp::endpoint> other;
  for (const auto& address : found) {
    (address.address().is_v6() == first_is_v6 ? same : other).push_back(address);
  }
  std::vector<asio::ip::tcp::endpoint> out;
  for (size_t i = 0; i < std::max(same.size(), other.size()); ++i) {
    if (i < same.size()) out.push_back(same[i]);
    if (i < other.size()) out.push_back(other[i]);
  }
  return out;
}

Task<Result<ConnPtr>> connect_first(Clock& clock, std::vector<asio::ip::tcp::endpoint> addresses,
                                    ConnectTo connect) {
  const auto executor = co_await asio::this_coro::executor;
  Attempts attempts(executor, std::move(connect));
  Scope scope(executor, "connect");
  const Result<> tried = co_await try_all(attempts, scope, clock, std::move(addresses));
  co_await scope.stop();
  if (attempts.won) co_return std::move(attempts.won);
  if (!tried) co_return tried.error();
  co_return attempts.last;
}

}  // namespace mesclun
