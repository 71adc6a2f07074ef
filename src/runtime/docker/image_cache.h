// Which of the images that this driver pulled are kept, and which go. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace mesclun::runtime {

struct ImageCacheLimits {
  // Of images that no run uses, together; layers that they share count for each.
  int64_t bytes_max = int64_t{50} * 1024 * 1024 * 1024;
  Duration age_max = 30 * 24h;  // since a run last used it
  // The same for a private image, unless its groups want it cached: for quick restarts.
  Duration private_age_max = 5min;
};

// An image that we pulled. images.json is a list of them.
struct PulledImage {
  std::string name;  // as full_image_name() has it
  std::string id;    // the engine's: another one by this name is not ours
  int64_t bytes = 0;
  int64_t use_time = 0;  // unix ns, when it was last needed
  // Its registry wanted to know who asks.
  std::optional<bool> is_private = false;
  // One of the groups whose runs used it last lets it stay.
  std::optional<bool> caching = false;
};
BOOST_DESCRIBE_STRUCT(PulledImage, (), (name, id, bytes, use_time, is_private, caching))

// What was needed so lately is not removed to make room: its run is about to begin, or begins again.
inline constexpr Duration kImageFresh = 5min;

// Names to remove, the one least lately used first. `now` is in unix ns; what is in use is not among
// `idle`.
std::vector<std::string> choose_removals(std::vector<PulledImage> idle, ImageCacheLimits limits,
                                         int64_t now);

}  // namespace mesclun::runtime
