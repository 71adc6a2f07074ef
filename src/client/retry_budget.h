// What keeps retries from becoming a storm.
#pragma once

#include <algorithm>

namespace mesclun::client {

// A bucket of tokens: each first attempt earns a part of one, each retry spends one. So over any
// run, attempts <= first attempts × (1 + ratio) + burst, whatever the server does. The bucket
// starts full: a few failures at the start are ordinary.
class RetryBudget {
 public:
  RetryBudget(double ratio, double burst) : ratio_(ratio), burst_(burst), tokens_(burst) {}

  void earn() { tokens_ = std::min(burst_, tokens_ + ratio_); }
  bool spend() {
    // Ten times 0.1 is a little less than one.
    if (tokens_ < 1.0 - 1e-9) return false;
    tokens_ -= 1.0;
    return true;
  }

 private:
  double ratio_;
  double burst_;
  double tokens_;
};

}  // namespace mesclun::client
