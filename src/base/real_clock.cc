#include "base/real_clock.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace mesclun {

TimePoint RealClock::now() const {
  return TimePoint(std::chrono::steady_clock::now().time_since_epoch());
}

WallTime RealClock::wall_now() const {
  return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

Task<Result<>> RealClock::sleep_until(TimePoint when) {
  if (co_await cancel_requested()) co_return Error::cancelled();
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_at(std::chrono::steady_clock::time_point(when.time_since_epoch()));
  auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (error) co_return Error::cancelled();
  co_return Result<>();
}

}  // namespace mesclun
