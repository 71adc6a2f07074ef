// Time that moves only when nothing is left to do: tests and the simulator run hours in
// milliseconds.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/intrusive/set.hpp>
#include <tuple>

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
  using LeavesAtEnd = boost::intrusive::link_mode<boost::intrusive::auto_unlink>;
  // Lives in the frame of the waiting task, and leaves the set with it. Without an allocation of its
  // own: a simulation has millions.
  struct Sleeper : boost::intrusive::set_base_hook<LeavesAtEnd> {
    Sleeper(asio::steady_timer& its_timer, TimePoint until, uint64_t number)
        : timer(its_timer), when(until), sequence(number) {}
    auto operator<=>(const Sleeper& other) const {
      return std::tie(when, sequence) <=> std::tie(other.when, other.sequence);
    }
    bool operator==(const Sleeper& other) const { return sequence == other.sequence; }
    asio::steady_timer& timer;
    const TimePoint when;
    const uint64_t sequence;
    bool woken = false;
  };
  bool step(TimePoint end);

  asio::io_context& io_;
  TimePoint now_ = TimePoint(std::chrono::hours(1));
  uint64_t sequence_ = 0;
  boost::intrusive::set<Sleeper, boost::intrusive::constant_time_size<false>> sleepers_;
};

}  // namespace mesclun
