// How instances are asked of late, for people to see.
#pragma once

#include <map>

#include "gateway/route_table.h"

namespace mesclun::gateway {

// Runs on:  the gateway's loop.
// Lifetime: clock and table outlive it.
class UsageMeter {
 public:
  UsageMeter(Clock& clock, const RouteTable& table) : clock_(clock), table_(table) {}

  // Since the last call. Instances without requests are left out.
  link::Usage measure();

 private:
  Clock& clock_;
  const RouteTable& table_;
  std::map<std::string, uint64_t> last_;  // requests, by instance
  TimePoint measured_{};
};

}  // namespace mesclun::gateway
