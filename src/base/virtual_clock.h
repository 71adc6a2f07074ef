// Time that moves only when nothing is left to do: tests and the simulator run hours in
// milliseconds.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>

#include "base/clock.h"

namespace mesclun {

// Runs on: one io_context, one thread. Sleepers wake in the order (time, order of falling asleep),
// so a run with the same inputs is the same run.
class VirtualClock final : public Clock {
 public:
  // Wall time starts at 2026-01-01T00:00:00Z, steady time at one hour: "long ago" stays
  // expressible.
  explicit VirtualClock(asio::io_context& io) : io_(io) {}

  TimePoint now() const override { return now_; }
  WallTime wall_now() const override {
    return WallTime(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) +
           (now_ - TimePoint(std::chrono::hours(1)));
  }
  Task<bool> wait_on(asio::steady_timer& timer, TimePoint when) override;

  // Runs handlers and moves time until nothing sleeps before `end` and nothing is ready; then it is
  // `end`.
  void run_until(TimePoint end);
  void run_for(Duration length) { run_until(now_ + length); }
  // Runs what is ready at this instant.
  void run_ready();
  // Moves time until `done` says so; false if `limit` came first. `done` is asked between instants.
  template <class Predicate>
  bool run_while_not(Predicate done, Duration limit) {
    const TimePoint end = now_ + limit;
    run_ready();
    while (!done()) {
      if (!step(end)) return done();
    }
    return true;
  }

 private:
  // Both live in the frame of the waiting task, which takes the entry away if it ends early.
  struct Sleeper {
    asio::steady_timer* timer;
    bool* woken;
  };
  bool step(TimePoint end);

  asio::io_context& io_;
  TimePoint now_ = TimePoint(std::chrono::hours(1));
  uint64_t sequence_ = 0;
  std::map<std::pair<TimePoint, uint64_t>, Sleeper> sleepers_;
};

}  // namespace mesclun
