// Waking tasks of one loop: the coroutine's condition variable.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/clock.h"
#include "base/task.h"

namespace mesclun {

// Use: `while (!condition) CO_TRY_DO(co_await changed.wait());` Nothing is lost between the check
// and the wait, because only one thread runs the loop.
//
// Runs on: one loop. For another thread, post to the executor first.
class Notify {
 public:
  explicit Notify(const asio::any_io_executor& executor);
  ~Notify();
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  void notify_all();
  // Fails with Cancelled only. Wakes for notifications after the call, not for earlier ones.
  Task<Result<>> wait();
  // Also ends, without error, at `when`.
  Task<Result<>> wait_until(Clock& clock, TimePoint when);
  const asio::any_io_executor executor() { return timer_.get_executor(); }

 private:
  // A wait with an end has a timer of its own, in the frame of its task.
  struct TimedWait {
    explicit TimedWait(const asio::any_io_executor& executor) : timer(executor) {}
    asio::steady_timer timer;
    TimedWait* next = nullptr;
    TimedWait* previous = nullptr;
  };
  void unlink(TimedWait& wait);

  asio::steady_timer timer_;
  TimedWait* timed_ = nullptr;
  uint64_t generation_ = 0;
};

}  // namespace mesclun
