// Where the kernel says that control groups are mounted.
#pragma once

#include <string_view>
#include <vector>

namespace mesclun::runtime {

struct CgroupMount {
  std::string_view root;  // the group that is seen at `point`
  std::string_view point;
  bool v2 = false;
  std::vector<std::string_view> options;  // of version 1: its controllers among them

  bool has(std::string_view controller) const;
};
// Of /proc/self/mountinfo, in its order; views into it.
std::vector<CgroupMount> list_cgroup_mounts(std::string_view mountinfo);

}  // namespace mesclun::runtime
