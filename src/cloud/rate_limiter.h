// So many calls a minute for each of many keys.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/clock.h"

namespace mesclun::cloud {

// A token bucket a key: `per_minute` at once, then one each minute / per_minute. Buckets that are
// full again are forgotten, so memory is bound by the keys of the last minute.
//
// Runs on: one loop.
class RateLimiter {
 public:
  explicit RateLimiter(int32_t per_minute) : per_minute_(per_minute) {}

  // Nothing if the call may pass, else how long until one may. `per_minute` of 0 keeps the default.
  std::optional<Duration> take(const std::string& key, TimePoint now, int32_t per_minute = 0);

 private:
  struct Bucket {
    double tokens = 0;
    TimePoint filled{};
  };
  int32_t per_minute_;
  std::map<std::string, Bucket> buckets_;
  TimePoint swept_{};
};

}  // namespace mesclun::cloud
