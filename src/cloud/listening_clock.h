// Time in which the cloud listened: what the silence of others is measured in.
#pragma once

#include "base/clock.h"

namespace mesclun::cloud {

// The loop is to tick every period. A tick that is late by more than another period means that the
// loop stood still: nobody could have been heard, so that gap counts as one period, and only at
// the tick after it, when what had queued up was read.
//
//   ticks    |    |    |                          |    |    |
//   counts        1    1         a stall          0    2    1    periods
class ListeningClock {
 public:
  ListeningClock(Duration period, TimePoint start)
      : period_(period), last_tick_(start), counted_(start) {}

  void tick(TimePoint now) {
    const Duration gap = now - last_tick_;
    const bool stalled = gap > 2 * period_;
    last_tick_ = now;
    counted_ += owed_ + (stalled ? Duration::zero() : gap);
    owed_ = stalled ? period_ : Duration::zero();
  }
  Duration period() const { return period_; }
  // All silence up to here counts.
  TimePoint counted() const { return counted_; }
  // What is heard at `now` was said no earlier than this.
  TimePoint heard_at(TimePoint now) const {
    return counted_ + owed_ + std::min(now - last_tick_, 2 * period_);
  }

 private:
  const Duration period_;
  TimePoint last_tick_;
  TimePoint counted_;
  Duration owed_{};
};

}  // namespace mesclun::cloud
