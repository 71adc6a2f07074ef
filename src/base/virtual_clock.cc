#include "base/virtual_clock.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace mesclun {

Task<Result<>> VirtualClock::sleep_until(TimePoint when) {
  if (co_await cancel_requested()) co_return Error::cancelled();
  auto sleeper = std::make_shared<Sleeper>(co_await asio::this_coro::executor);
  // A timer that never fires is Asio's cheapest thing to wait for that also obeys cancellation.
  sleeper->timer.expires_at(asio::steady_timer::time_point::max());
  const auto key = std::pair(std::max(when, now_), sequence_++);
  sleepers_.emplace(key, sleeper);
  co_await sleeper->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (!sleeper->woken) {
    sleepers_.erase(key);
    co_return Error::cancelled();
  }
  co_return Result<>();
}

void VirtualClock::run_ready() {
  io_.restart();
  io_.poll();
}

bool VirtualClock::step(TimePoint end) {
  if (sleepers_.empty() || sleepers_.begin()->first.first > end) {
    now_ = end;
    run_ready();
    // What ran at `end` may have fallen asleep until exactly `end`.
    return !sleepers_.empty() && sleepers_.begin()->first.first <= end;
  }
  auto first = sleepers_.begin();
  now_ = first->first.first;
  const std::shared_ptr<Sleeper> sleeper = first->second;
  sleepers_.erase(first);
  sleeper->woken = true;
  sleeper->timer.cancel();
  run_ready();
  return true;
}

void VirtualClock::run_until(TimePoint end) {
  run_ready();
  while (step(end)) {
  }
}

}  // namespace mesclun
