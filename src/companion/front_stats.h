// What the front counts, for the metrics endpoint and the summary line.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"

namespace mesclun::companion {

// Counts of observations at or below each bound, as Prometheus wants them; seconds.
class Histogram {
 public:
  static constexpr std::array<double, 14> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                     0.25,  0.5,    1,     2.5,  5,     10,   30};
  void observe(Duration value);
  uint64_t count() const { return count_; }
  double sum() const { return sum_; }
  uint64_t at_most(size_t bound) const { return counts_[bound]; }

 private:
  std::array<uint64_t, kBounds.size()> counts_{};
  uint64_t count_ = 0;
  double sum_ = 0;
};

struct FrontStats {
  uint64_t accepted = 0;
  std::map<int, uint64_t> answers;           // by status, all that callers of the front got
  std::map<std::string, uint64_t> refusals;  // by code: queue_full, deadline, ...
  uint64_t cancelled = 0;                    // callers who left
  Histogram wait;                            // from acceptance to the application
  Histogram service;                         // of a dispatch
  uint64_t batches = 0;
  uint64_t batch_items = 0;
  uint64_t batch_failures = 0;  // batches that failed as a whole
  uint64_t retried_singly = 0;  // items
  double work = 0;
};

}  // namespace mesclun::companion
