// For tests of what is learned from times: moments in seconds, and lengths by chance.
#pragma once

#include <cmath>

#include "base/clock.h"
#include "base/random.h"

namespace mesclun::gateway {

inline TimePoint at(double seconds) {
  return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)));
}

inline double exponential(Random& random, double mean) {
  return -mean * std::log(1 - random.unit());
}

}  // namespace mesclun::gateway
