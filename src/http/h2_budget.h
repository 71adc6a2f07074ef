// How many frames that cost us work, and the client next to nothing, one connection may send. Pure.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace mesclun {

// So many at once, and as many a second again.
struct H2Rate {
  double burst = 0;
  double per_second = 0;
};

class H2Allowance {
 public:
  explicit H2Allowance(H2Rate rate) : rate_(rate), left_(rate.burst) {}

  // False: it is used up.
  bool take(TimePoint now) {
    if (used_) left_ = std::min(rate_.burst, left_ + rate_.per_second * to_seconds(now - last_));
    used_ = true;
    last_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  const H2Rate rate_;
  double left_;
  bool used_ = false;
  TimePoint last_;
};

// A browser that leaves a page resets a few dozen streams; gRPC pings once a round trip while data
// flows; settings change once in a connection's life. Floods have thousands a second.
struct H2Budget {
  H2Allowance resets{{.burst = 200, .per_second = 30}};  // streams that either side breaks off
  H2Allowance pings{{.burst = 1000, .per_second = 200}};
  H2Allowance settings{{.burst = 30, .per_second = 1}};
  // Frames that say nothing: priorities, empty data, kinds that nobody knows.
  H2Allowance idle{{.burst = 1000, .per_second = 200}};
};

}  // namespace mesclun
