// Settings that are right alone and wrong together.
#pragma once

#include <string>
#include <vector>

#include "companion/config.h"

namespace mesclun::companion {

struct ConfigClash {
  std::string path;  // the setting to change
  std::string text;  // continues the path: "(16) is larger than front.queue_max (8): ..."
};

std::vector<ConfigClash> find_clashes(const Config& config);

}  // namespace mesclun::companion
