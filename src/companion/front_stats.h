// What the front counts, for the metrics endpoint and the summary line.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/metrics_text.h"

namespace mesclun::companion {

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
