#include "base/notify.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/race.h"

namespace mesclun {

Task<Result<>> Notify::wait() {
  if (co_await cancel_requested()) co_return Error::cancelled();
  const uint64_t seen = generation_;
  co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  if (generation_ == seen) co_return Error::cancelled();
  co_return Result<>();
}

Task<Result<>> Notify::wait_until(Clock& clock, TimePoint when) {
  if (when == TimePoint::max()) co_return co_await wait();
  Result<> result = co_await within(clock, when - clock.now(), wait());
  if (!result && result.code() == ErrorCode::DeadlineExceeded) co_return Result<>();
  co_return result;
}

}  // namespace mesclun
