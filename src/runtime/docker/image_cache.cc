#include "runtime/docker/image_cache.h"

#include <algorithm>

namespace mesclun::runtime {

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
    if (age <= limits.age_max && !in_the_way) continue;
    bytes -= image.bytes;
    out.push_back(image.name);
  }
  return out;
}

}  // namespace mesclun::runtime
