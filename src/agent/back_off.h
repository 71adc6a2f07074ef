// How long to wait before the next try: doubling, with jitter, so that a thousand nodes whose cloud
// came back do not all knock at once. Pure apart from the Random that is handed in.
#pragma once

#include "base/clock.h"
#include "base/random.h"

namespace mesclun::agent {

class BackOff {
 public:
  BackOff(Duration min, Duration max) : min_(min), max_(max) {}

  // Between half of the step and all of it; the step doubles from `min` to `max`.
  Duration next(Random& random) {
    const Duration step = std::min(max_, min_ * (int64_t{1} << std::min(tries_, 20)));
    ++tries_;
    return step / 2 +
           Duration(static_cast<int64_t>(static_cast<double>(step.count()) / 2 * random.unit()));
  }
  void reset() { tries_ = 0; }

 private:
  const Duration min_;
  const Duration max_;
  int tries_ = 0;
};

}  // namespace mesclun::agent
