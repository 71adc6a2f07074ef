// Limits by control groups, version 1, version 2 or both side by side.
//
// Every run has a group `mesclun/<run>` in each hierarchy that limits something. Where all want more
// than there is, runs get by their cores, and `mesclun` as much as one other group of the machine, such
// as its owner's session.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/walls/cgroup_usage.h"

namespace mesclun::runtime {

// Where the hierarchies are mounted; empty: not there. With version 2 both are the same folder.
struct CgroupMounts {
  std::string cpu;
  std::string memory;
  bool cpu_v2 = false;
  bool memory_v2 = false;
};
// `mountinfo` is /proc/self/mountinfo; `controllers_of` reads cgroup.controllers of a version 2
// mount.
CgroupMounts find_cgroup_mounts(
    std::string_view mountinfo,
    const std::function<std::string(const std::string&)>& controllers_of);

inline constexpr const char* kCgroupParent = "mesclun";

// Of version 1: the kernel's own share of a group is that of one core.
int64_t cpu_shares(double cores);

struct CgroupLimits {
  double cpu_cores = 1;
  int64_t memory_bytes = 0;  // 0: none
};

// Makes groups. Blocks on the kernel only.
class Cgroups {
 public:
  Cgroups() = default;  // limits nothing
  explicit Cgroups(CgroupMounts mounts) : mounts_(std::move(mounts)) {}
  static Cgroups of_this_machine();

  bool limits_cpu() const { return !mounts_.cpu.empty(); }
  bool limits_memory() const { return !mounts_.memory.empty(); }
  void give_up_cpu() { mounts_.cpu.clear(); }
  void give_up_memory() { mounts_.memory.clear(); }

  // Above those of all runs. Again does no harm. Unavailable: this machine has none for the CPU.
  Result<> create_parent() const;
  // The folders of the new groups; nothing is left behind on error.
  Result<std::vector<std::string>> create(const std::string& name, CgroupLimits limits) const;
  // Of groups that there are.
  Result<> change(const std::string& name, CgroupLimits limits) const;
  CgroupUsage usage(const std::string& name) const;
  // What create() would answer.
  std::vector<std::string> paths_of(const std::string& name) const;
  Result<std::string> create_cpu(const std::string& name, double cores) const;
  Result<std::string> create_memory(const std::string& name, int64_t bytes) const;

 private:
  Result<> set_cpu(const std::string& path, double cores) const;
  Result<> set_memory(const std::string& path, int64_t bytes) const;
  void set_weight(const std::string& path, double cores) const;

  CgroupMounts mounts_;
};

// Moves the calling process; its later children follow.
Result<> join_cgroups(const std::vector<std::string>& cgroups);
// How many processes the kernel killed for lack of memory.
int64_t out_of_memory_kills(const std::vector<std::string>& cgroups);
// SIGKILL to all in them, once. True if there was none.
bool kill_cgroups(const std::vector<std::string>& cgroups);
// True when none is left; a group can be busy for some ms after its last process ended.
bool remove_cgroups(const std::vector<std::string>& cgroups);

}  // namespace mesclun::runtime
