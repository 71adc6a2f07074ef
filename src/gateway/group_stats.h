// What happened to the requests of one group, since the gateway started.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/metrics_text.h"
#include "gateway/access_log.h"
#include "gateway/retry.h"

namespace mesclun::gateway {

struct GroupStats {
  uint64_t requests = 0;
  std::map<int, uint64_t> answers;  // by status; 0: none, client or stream broke
  std::map<std::string, uint64_t, std::less<>> refusals;    // by X-Gateway-Error
  uint64_t bytes_in = 0;                                    // request bodies
  uint64_t bytes_out = 0;                                   // response bodies
  uint64_t connects = 0;                                    // streams opened
  std::array<uint64_t, kRetryCauseNames.size()> retries{};  // by RetryCause
  uint64_t retries_denied = 0;                              // for want of a budget
  uint64_t ejections = 0;                                   // outliers that were told to rest
  // Each from the point before it, of the instance that answered.
  Histogram wait;        // for a place
  Histogram connect;     // for a stream, idle ones included
  Histogram first_byte;  // for the head of an answer
  Histogram total;       // from the head of a request to the end of its answer

  // A request that has ended.
  void count(const AccessEntry& entry);
  void count_retry(RetryCause cause) { ++retries[static_cast<size_t>(cause)]; }
};

}  // namespace mesclun::gateway
