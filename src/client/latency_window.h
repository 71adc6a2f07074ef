// How long answers took lately.
#pragma once

#include <array>
#include <vector>

#include "base/clock.h"

namespace mesclun::client {

// The last 256 latencies: at 25 requests a second that is 10 s, and a quantile of 0.95 still rests
// on a dozen samples. Quantiles are of a copy that is sorted again after every 16 samples, so that
// asking costs nothing.
class LatencyWindow {
 public:
  void record(Duration latency);
  size_t count() const { return sorted_.size(); }
  // 0 before the first sample. `q` is 0..1.
  Duration quantile(double q) const;

 private:
  static constexpr size_t kSamples = 256;
  static constexpr size_t kSortEvery = 16;

  std::vector<Duration> ring_;
  std::vector<Duration> sorted_;
  size_t next_ = 0;
  size_t unsorted_ = 0;
};

}  // namespace mesclun::client
