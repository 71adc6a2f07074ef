// How many requests may be under way at once: found out, as TCP does.
#pragma once

#include <deque>

#include "base/clock.h"

namespace mesclun::client {

// Grows by about one per round trip while answers come, and shrinks to 0.7 of itself when the
// server refuses. Pure: values and times in, a number out.
//
// Once per round trip: a full server refuses many requests at once, and all of them are one piece
// of news. So a refusal counts only if a typical latency has passed since the last cut, and if the
// refused attempt was sent after it. (Without the first, refusals, which come at once, would cut
// ten times before the first answer; without the second, old timeouts would.)
//
// A refused attempt keeps its place for a typical latency, as an answered one would have: refusals
// must not come faster than answers, or a closed loop would run through all its requests while the
// server restarts.
class ConcurrencyLimit {
 public:
  ConcurrencyLimit(double start, double max);

  // `busy`: at least half of the limit was in use; an idle client learns nothing about the server.
  void succeeded(bool busy);
  // True if the limit was at one before: the caller should pause.
  bool refused(TimePoint sent_at, TimePoint now, Duration typical_latency);

  // At least 1, at most `max`.
  size_t value() const { return static_cast<size_t>(limit_); }
  size_t peak() const { return static_cast<size_t>(peak_); }
  // Places that refused attempts keep.
  size_t held(TimePoint now) const;
  // When the next such place becomes free; max() if there is none.
  TimePoint next_release(TimePoint now) const;

 private:
  static constexpr double kDecrease = 0.7;

  double max_;
  double limit_;
  double peak_;
  TimePoint last_cut_ = TimePoint::min();
  TimePoint next_cut_ = TimePoint::min();
  std::deque<TimePoint> releases_;  // ascending
};

}  // namespace mesclun::client
