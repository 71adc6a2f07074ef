#include "base/virtual_clock.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace mesclun {

Task<bool> VirtualClock::wait_on(asio::steady_timer& timer, TimePoint when) {
  // A timer that never fires is Asio's cheapest thing to wait for that also obeys cancellation.
  timer.expires_at(asio::steady_timer::time_point::max());
  Sleeper sleeper(timer, std::max(when, now_), sequence_++);
  sleepers_.insert(sleeper);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return sleeper.woken;
}

void VirtualClock::run_ready() {
  io_.restart();
  io_.poll();
}

bool VirtualClock::step(TimePoint end) {
  if (sleepers_.empty() || sleepers_.begin()->when > end) {
    now_ = end;
    run_ready();
    // What ran at `end` may have fallen asleep until exactly `end`.
    return !sleepers_.empty() && sleepers_.begin()->when <= end;
  }
  Sleeper& first = *sleepers_.begin();
  sleepers_.erase(sleepers_.begin());
  now_ = first.when;
  first.woken = true;
  first.timer.cancel();
  run_ready();
  return true;
}

void VirtualClock::run_until(TimePoint end) {
  run_ready();
  while (step(end)) {
  }
}

}  // namespace mesclun
