#include "base/suggest.h"

#include <algorithm>

#include "base/text.h"

namespace mesclun {

std::string near_names(std::string_view wanted, const std::vector<std::string>& known) {
  std::vector<std::pair<size_t, std::string_view>> found;
  wanted = wanted.substr(0, 64);
  for (const std::string& name : known) {
    const bool holds = wanted.size() >= 3 && name.find(wanted) != std::string::npos;
    const size_t distance = holds ? 1 : edit_distance(wanted, std::string_view(name).substr(0, 64));
    if (distance <= std::max<size_t>(2, wanted.size() / 3)) found.emplace_back(distance, name);
  }
  std::ranges::sort(found);
  std::string out;
  for (size_t i = 0; i < std::min<size_t>(found.size(), 3); ++i) {
    out += (i == 0 ? "" : ", ") + std::string(found[i].second);
  }
  return out;
}

}  // namespace mesclun
