// What control groups count: of groups of ours, and of those that an engine made for a container.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace mesclun::runtime {

// As far as the groups count it.
struct CgroupUsage {
  std::optional<Duration> cpu_time;
  std::optional<int64_t> memory_bytes;  // without the files that the kernel would drop first
};

// Folders of groups; empty: nothing is counted.
struct CgroupCounters {
  std::string cpu;
  std::string memory;
  bool cpu_v2 = false;
  bool memory_v2 = false;
};

// Blocks on the kernel only: three files.
CgroupUsage read_usage(const CgroupCounters& counters);

// Where a process is counted apart from us. The texts are those of /proc/self/mountinfo,
// /proc/PID/cgroup and /proc/self/cgroup. Nothing where it shares our group or is in the uppermost
// one, which count others too.
CgroupCounters find_counters(std::string_view mountinfo, std::string_view theirs,
                             std::string_view ours);
CgroupCounters counters_of(pid_t process);

}  // namespace mesclun::runtime
