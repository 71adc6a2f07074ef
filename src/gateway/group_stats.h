// What happened to the requests of one group, since the gateway started.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "gateway/retry.h"

namespace mesclun::gateway {

struct GroupStats {
  uint64_t requests = 0;
  std::array<uint64_t, 6>
      answers{};  // by first digit of the status; index 0: none, client or stream broke
  std::map<std::string, uint64_t, std::less<>> refusals;    // by X-Gateway-Error
  uint64_t bytes_in = 0;                                    // request bodies
  uint64_t bytes_out = 0;                                   // response bodies
  uint64_t connects = 0;                                    // streams opened
  std::array<uint64_t, kRetryCauseNames.size()> retries{};  // by RetryCause
  uint64_t retries_denied = 0;                              // for want of a budget

  uint64_t ejections = 0;  // outliers that were told to rest

  void count_retry(RetryCause cause) { ++retries[static_cast<size_t>(cause)]; }
  void count_answer(int status) {
    ++answers[status >= 100 && status < 600 ? static_cast<size_t>(status / 100) : 0];
  }
};

}  // namespace mesclun::gateway
