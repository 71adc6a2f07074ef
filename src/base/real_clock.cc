#include "base/real_clock.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace mesclun {

TimePoint RealClock::now() const {
  return TimePoint(std::chrono::steady_clock::now().time_since_epoch());
}

WallTime RealClock::wall_now() const {
  return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

Task<bool> RealClock::wait_on(asio::steady_timer& timer, TimePoint when) {
  timer.expires_at(std::chrono::steady_clock::time_point(when.time_since_epoch()));
  auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return !error;
}

}  // namespace mesclun
