#include "runtime/walls/mountinfo.h"

#include <algorithm>

#include "base/text.h"

namespace mesclun::runtime {

bool CgroupMount::has(std::string_view controller) const {
  return std::ranges::find(options, controller) != options.end();
}

std::vector<CgroupMount> list_cgroup_mounts(std::string_view mountinfo) {
  std::vector<CgroupMount> out;
  for (const std::string_view line : split(mountinfo, '\n')) {
    // id parent device root mount-point options ... - type source super-options
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const std::vector<std::string_view> left = split(line.substr(0, dash), ' ');
    const std::vector<std::string_view> right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    if (right[0] != "cgroup" && right[0] != "cgroup2") continue;
    out.push_back({.root = left[3],
                   .point = left[4],
                   .v2 = right[0] == "cgroup2",
                   .options = split(right[2], ',')});
  }
  return out;
}

}  // namespace mesclun::runtime
