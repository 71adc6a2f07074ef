// The one core of a process in virtual time: what it does may take a while, and meanwhile nothing
// else of it goes on.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace mesclun::sim {

// Handed to the process as its clock: its timers fire late while it is busy. What comes from outside
// (messages, answers of the database, calls) waits in free().
//
// Lifetime: `real` outlives it.
class SimCpu final : public Clock {
 public:
  explicit SimCpu(Clock& real) : real_(real) {}

  // Work, or a stop of the whole process.
  void spend(Duration length) { busy_until_ = std::max(busy_until_, real_.now()) + length; }
  // Returns when it has time for something new. Cancelled.
  Task<Result<>> free() {
    // Timers that are due come first.
    while (real_.now() < busy_until_) CO_TRY_DO(co_await real_.sleep_until(busy_until_ + 1ns));
    co_return Result<>();
  }

  TimePoint now() const override { return real_.now(); }
  WallTime wall_now() const override { return real_.wall_now(); }
  Task<bool> wait_on(asio::steady_timer& timer, TimePoint when) override {
    bool due = co_await real_.wait_on(timer, when);
    while (due && real_.now() < busy_until_) due = co_await real_.wait_on(timer, busy_until_);
    co_return due;
  }

 private:
  Clock& real_;
  TimePoint busy_until_{};
};

}  // namespace mesclun::sim
