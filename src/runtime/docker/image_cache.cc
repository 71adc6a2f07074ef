#include "runtime/docker/image_cache.h"

#include <algorithm>

namespace mesclun::runtime {

namespace {

Duration age_max_of(const PulledImage& image, const ImageCacheLimits& limits) {
  const bool leaves_soon = image.is_private.value_or(false) && !image.caching.value_or(false);
  return leaves_soon ? std::min(limits.private_age_max, limits.age_max) : limits.age_max;
}

}  // namespace

std::vector<std::string> choose_removals(std::vector<PulledImage> idle, ImageCacheLimits limits,
                                         int64_t now) {
  std::ranges::sort(idle, {},
                    [](const PulledImage& image) { return std::pair(image.use_time, image.name); });
  int64_t bytes = 0;
  for (const PulledImage& image : idle) bytes += image.bytes;
  std::vector<std::string> out;
  for (const PulledImage& image : idle) {
    const Duration age = std::chrono::nanoseconds(now - image.use_time);
    const bool in_the_way = bytes > limits.bytes_max && age >= kImageFresh;
    if (age <= age_max_of(image, limits) && !in_the_way) continue;
    bytes -= image.bytes;
    out.push_back(image.name);
  }
  return out;
}

}  // namespace mesclun::runtime
