#include "cloud/rate_limiter.h"

#include <algorithm>

namespace mesclun::cloud {

std::optional<Duration> RateLimiter::take(const std::string& key, TimePoint now,
                                          int32_t per_minute) {
  if (now - swept_ > 1min) {
    swept_ = now;
    std::erase_if(buckets_, [&](const auto& entry) { return now - entry.second.filled > 1min; });
  }
  const double rate = per_minute > 0 ? per_minute : per_minute_;
  const auto [found, is_new] = buckets_.try_emplace(key, Bucket{rate, now});
  Bucket& bucket = found->second;
  if (!is_new) {
    bucket.tokens = std::min(rate, bucket.tokens + rate * to_seconds(now - bucket.filled) / 60);
    bucket.filled = now;
  }
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
    return std::nullopt;
  }
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>((1 - bucket.tokens) * 60 / rate));
}

}  // namespace mesclun::cloud
