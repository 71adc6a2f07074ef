// How long to wait before the next try: doubling, with jitter, so that a thousand nodes whose cloud
// came back do not all knock at once. Pure apart from the Random that is handed in.
#pragma once

#include <algorithm>

#include "base/clock.h"
#include "base/random.h"

namespace mesclun {

// `first` after the first failure, then doubling up to `max`; without jitter.
inline Duration back_off_step(Duration first, Duration max, int failures_before) {
  return std::min(max, first * (int64_t{1} << std::min(failures_before, 20)));
}

class BackOff {
 public:
  BackOff(Duration min, Duration max) : min_(min), max_(max) {}

  // Between half of the step and all of it.
  Duration next(Random& random) {
    const Duration half = back_off_step(min_, max_, tries_++) / 2;
    return half + Duration(static_cast<int64_t>(static_cast<double>(half.count()) * random.unit()));
  }
  void reset() { tries_ = 0; }

 private:
  const Duration min_;
  const Duration max_;
  int tries_ = 0;
};

}  // namespace mesclun
