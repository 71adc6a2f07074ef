// How bad the world is: plain numbers, and draws from them.
#pragma once

#include <cmath>

#include "base/clock.h"
#include "base/random.h"

namespace mesclun::sim {

// Defaults: churn from the published reliability test (practice.md §11), times `churn_factor`;
// network and store worse than any that should be met.
struct Faults {
  double churn_factor = 10;
  double interruptions_per_node_hour = 0.011;  // 1.1 an hour among 100 nodes
  double session_reset_chance = 0.0005;        // of a message
  double delay_spike_chance = 0.01;            // of a message: a lost packet, sent again
  double store_failure_chance = 0.002;         // of a commit
  double store_slow_chance = 0.01;             // of a commit: 0.2 to 5 s
  double cloud_restarts_per_hour = 0.5;
  double cloud_stalls_per_hour = 0.5;  // of 1 to 30 s
  // Of sessions: they go as bytes, cut anywhere, and not as whole messages, which are cheaper.
  double byte_stream_share = 0.1;

  static Faults none() { return {0, 0, 0, 0, 0, 0, 0, 0, 0}; }
};

// How long a container takes to start, mostly its image's way to the node: the published 50, 80 and
// 90 % points are 10, 20 and 40 minutes; cut at an hour, so that a fleet can be asked to have
// healed.
struct StartTimes {
  double median_seconds = 600;
  double max_seconds = 3600;
};

inline double exponential(Random& random, double mean) {
  return -mean * std::log(1 - random.unit());
}
inline Duration from_seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}
// By Box and Muller.
inline double log_normal(Random& random, double median, double sigma) {
  const double normal =
      std::sqrt(-2 * std::log(1 - random.unit())) * std::cos(6.283185307179586 * random.unit());
  return median * std::exp(sigma * normal);
}

}  // namespace mesclun::sim
