// Time is a value that is handed in: a real clock, or a virtual one that a test or the simulator
// moves.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/task.h"

namespace mesclun {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

// Steady time, for timers and intervals. Its zero means nothing.
struct SteadyTime {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<SteadyTime>;
  static constexpr bool is_steady = true;
};
using TimePoint = std::chrono::time_point<SteadyTime>;

// Wall time in UTC, for people and other machines.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual WallTime wall_now() const = 0;
  // Cancelled is the only error.
  Task<Result<>> sleep_until(TimePoint when);
  Task<Result<>> sleep_for(Duration length) { return sleep_until(now() + length); }
  // The building block of all waits: true when `when` has come, false when somebody cancelled
  // `timer` or the task before. `timer` is the caller's, for this wait only.
  virtual Task<bool> wait_on(asio::steady_timer& timer, TimePoint when) = 0;
};

// RFC 3339 in UTC with seven decimals, as the contract's examples have it:
// 2026-01-02T03:04:05.1234567+00:00.
std::string format_rfc3339(WallTime time);
// Any RFC 3339 form with an offset, of the years 1678 to 2261.
Result<WallTime> parse_rfc3339(std::string_view text);

inline int64_t to_unix_nanos(WallTime time) {
  return time.time_since_epoch().count();
}
inline WallTime from_unix_nanos(int64_t nanos) {
  return WallTime(Duration(nanos));
}
inline int64_t to_unix_seconds(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}
inline double to_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}
inline int64_t to_millis(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace mesclun
