#include "base/virtual_clock.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace mesclun {

Task<bool> VirtualClock::wait_on(asio::steady_timer& timer, TimePoint when) {
  // A timer that never fires is Asio's cheapest thing to wait for that also obeys cancellation.
  timer.expires_at(asio::steady_timer::time_point::max());
  bool woken = false;
  const auto key = std::pair(std::max(when, now_), sequence_++);
  // The guard also covers a frame that is destroyed while it waits.
  struct Entry {
    VirtualClock& clock;
    std::pair<TimePoint, uint64_t> at;
    ~Entry() { clock.sleepers_.erase(at); }
  } const entry{*this, key};
  sleepers_.emplace(key, Sleeper{&timer, &woken});
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return woken;
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
  const Sleeper sleeper = first->second;
  sleepers_.erase(first);
  *sleeper.woken = true;
  sleeper.timer->cancel();
  run_ready();
  return true;
}

void VirtualClock::run_until(TimePoint end) {
  run_ready();
  while (step(end)) {
  }
}

}  // namespace mesclun
