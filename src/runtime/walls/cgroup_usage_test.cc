#include "runtime/walls/cgroup_usage.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/run_usage.h"

namespace mesclun::runtime {
namespace {

constexpr std::string_view kVersion1 =
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "37 31 0:34 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "38 31 0:35 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
constexpr std::string_view kVersion2 = "30 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

TEST(CgroupCounters, AContainersGroupsAreFoundInEitherVersion) {
  const CgroupCounters old =
      find_counters(kVersion1, "4:memory:/docker/c\n2:cpu,cpuacct:/docker/c\n0::/docker/c\n",
                    "4:memory:/agent\n2:cpu,cpuacct:/\n0::/\n");
  EXPECT_EQ(old.cpu, "/sys/fs/cgroup/cpu,cpuacct/docker/c");
  EXPECT_EQ(old.memory, "/sys/fs/cgroup/memory/docker/c");
  EXPECT_FALSE(old.cpu_v2 || old.memory_v2);

  const CgroupCounters now =
      find_counters(kVersion2, "0::/system.slice/docker-c.scope\n", "0::/user.slice\n");
  EXPECT_EQ(now.cpu, "/sys/fs/cgroup/system.slice/docker-c.scope");
  EXPECT_EQ(now.memory, now.cpu);
  EXPECT_TRUE(now.cpu_v2 && now.memory_v2);
}

TEST(CgroupCounters, AGroupThatCountsOthersTooIsNone) {
  for (const std::string_view theirs : {"0::/\n", "0::/agent\n", "0::/../other\n", "0::\n", ""}) {
    const CgroupCounters found = find_counters(kVersion2, theirs, "0::/agent\n");
    EXPECT_EQ(found.cpu + found.memory, "") << theirs;
  }
  EXPECT_EQ(find_counters("", "0::/c\n", "0::/\n").cpu, "");
}

TEST(CgroupCounters, AMountOfAPartShowsThatPartOnly) {
  constexpr std::string_view part = "30 23 0:28 /outer /cg rw - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(find_counters(part, "0::/outer/docker/c\n", "0::/outer\n").cpu, "/cg/docker/c");
  EXPECT_EQ(find_counters(part, "0::/elsewhere/c\n", "0::/outer\n").cpu, "");
}

TEST(UsageReader, ReadsProcessesWhereNoGroupCounts) {
  UsageReader reader;
  const RunUsage found = reader.read("run", {}, ::getppid());
  EXPECT_GE(found.cpu_time.value_or(-1s), 0s);
  EXPECT_GT(found.memory_bytes.value_or(0), 0) << "of this test at least";
  const RunUsage counted = reader.read("run", {.cpu_time = 7s, .memory_bytes = 9}, ::getppid());
  EXPECT_EQ(counted.cpu_time, Duration(7s));
  EXPECT_EQ(counted.memory_bytes, 9);
}

}  // namespace
}  // namespace mesclun::runtime
