#include "agent/usage_meter.h"

#include <gtest/gtest.h>

namespace mesclun::agent {
namespace {

using runtime::RunUsage;

TEST(UsageBetween, IsProcessorTimeOverTimeAndMemoryAsItIs) {
  const std::vector<RunUsage> before{{"a", Duration(1s), 100}, {"gone", Duration(9s), 1}};
  const std::vector<RunUsage> after{{"a", Duration(4s), 200}, {"new", Duration(9s), 300}};
  const auto usage = usage_between(before, after, 2s);
  ASSERT_EQ(usage.size(), 2u);
  EXPECT_EQ(usage[0].instance_id, "a");
  EXPECT_DOUBLE_EQ(usage[0].cpu_cores.value(), 1.5);
  EXPECT_EQ(usage[0].memory_bytes, 200);
  EXPECT_FALSE(usage[1].cpu_cores) << "one measurement says nothing about a rate";
  EXPECT_EQ(usage[1].memory_bytes, 300);
}

TEST(UsageBetween, IsNeverNegativeAndLeavesOutWhatIsNotKnown) {
  const std::vector<RunUsage> before{{"a", Duration(4s), 100}, {"b", std::nullopt, 1}};
  const std::vector<RunUsage> after{{"a", Duration(1s), std::nullopt}, {"b", Duration(1s), 1}};
  const auto usage = usage_between(before, after, 2s);
  EXPECT_DOUBLE_EQ(usage[0].cpu_cores.value(), 0);
  EXPECT_FALSE(usage[0].memory_bytes);
  EXPECT_FALSE(usage[1].cpu_cores);
}

}  // namespace
}  // namespace mesclun::agent
