#include "base/notify.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace mesclun {

Notify::Notify(const asio::any_io_executor& executor) : timer_(executor) {
  timer_.expires_at(asio::steady_timer::time_point::max());
}

Notify::~Notify() = default;

Task<Result<>> Notify::wait() {
  if (is_cancelled(co_await asio::this_coro::cancellation_state)) co_return Error::cancelled();
  const uint64_t seen = generation_;
  co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  if (generation_ == seen) co_return Error::cancelled();
  co_return Result<>();
}

Task<Result<>> Notify::wait_until(Clock& clock, TimePoint when) {
  if (when == TimePoint::max()) co_return co_await wait();
  if (is_cancelled(co_await asio::this_coro::cancellation_state)) co_return Error::cancelled();
  const uint64_t seen = generation_;
  TimedWait waiting(timer_.get_executor());
  waiting.next = timed_;
  if (timed_ != nullptr) timed_->previous = &waiting;
  timed_ = &waiting;
  struct Unlink {
    Notify& notify;
    TimedWait& wait;
    ~Unlink() { notify.unlink(wait); }
  } const unlink_at_end{*this, waiting};
  const bool ended = co_await clock.wait_on(waiting.timer, when);
  if (!ended && generation_ == seen) co_return Error::cancelled();
  co_return Result<>();
}

void Notify::notify_all() {
  ++generation_;
  timer_.cancel();
  for (TimedWait* wait = timed_; wait != nullptr; wait = wait->next) wait->timer.cancel();
}

void Notify::unlink(TimedWait& wait) {
  if (wait.previous != nullptr) wait.previous->next = wait.next;
  if (wait.next != nullptr) wait.next->previous = wait.previous;
  if (timed_ == &wait) timed_ = wait.next;
}

}  // namespace mesclun
