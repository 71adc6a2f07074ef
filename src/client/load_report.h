// What came of a load: one JSON line per request, and a table of all.
#pragma once

#include <map>

#include "base/json.h"
#include "client/load_runner.h"

namespace mesclun::client {

// Counts by size, precise to 1 %, in memory that does not grow with the requests: 128 steps per
// power of two, in microseconds.
class LatencyHistogram {
 public:
  void record(Duration latency);
  // The smallest value that `q` of all stay within; 0 for none.
  Duration quantile(double q) const;
  Duration max() const { return max_; }
  uint64_t count() const { return count_; }

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  Duration max_{0};
};

class LoadSummary {
 public:
  void add(const LoadOutcome& outcome);

  uint64_t requests() const { return requests_; }
  uint64_t ok() const { return ok_; }
  uint64_t failed() const { return requests_ - ok_; }
  // For people. `elapsed` is from the first request to the last answer.
  std::string table(const TrafficController& controller, Duration elapsed) const;
  // "1203 of 2000, 98 a second, 12 at once, 3 failed".
  std::string progress(const TrafficController& controller, const LoadPlan& plan,
                       Duration elapsed) const;

 private:
  uint64_t requests_ = 0;
  uint64_t ok_ = 0;
  uint64_t hedges_won_ = 0;
  std::map<std::string, uint64_t> failures_;
  LatencyHistogram latencies_;  // of those that succeeded
};

struct LineOptions {
  std::string label_header;  // its value becomes the member "node"; empty: none
  bool keep_bodies = false;
};
// With a line break. A body that is no UTF-8 text becomes "body_base64".
std::string outcome_line(const LoadOutcome& outcome, const LineOptions& options);

}  // namespace mesclun::client
