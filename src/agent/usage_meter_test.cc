#include "agent/usage_meter.h"

#include <gtest/gtest.h>

#include "base/test_loop.h"
#include "runtime/fake_driver.h"

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

// A driver that cannot tell anything.
class BlindDriver final : public runtime::FakeDriver {
 public:
  using FakeDriver::FakeDriver;
  Task<Result<std::vector<RunUsage>>> usage() override {
    co_return Error{ErrorCode::Unimplemented, "it cannot"};
  }
};

Task<Result<>> expect_machine_alone(UsageMeter& meter) {
  CO_TRY(const link::Usage usage, co_await meter.measure());
  EXPECT_TRUE(usage.instances.empty());
  EXPECT_EQ(usage.machine.value().gpus.front().memory_free_mb, 7);
  co_return Result<>();
}
Task<Result<>> expect_nothing(UsageMeter& meter) {
  const Result<link::Usage> usage = co_await meter.measure();
  EXPECT_EQ(usage ? ErrorCode::Internal : usage.code(), ErrorCode::Unimplemented);
  co_return Result<>();
}

TEST(UsageMeter, TellsOfTheMachineAlsoWhereTheDriverCannotTell) {
  VirtualLoop loop;
  SeededRandom random{1};
  BlindDriver driver(loop.executor(), loop.clock, random);
  UsageMeter meter(loop.clock, driver, [] {
    return link::MachineReading{.gpus = {{.device = "GPU-0", .memory_free_mb = 7}},
                                .endpoints = {}};
  });
  loop.run(expect_machine_alone(meter));
  UsageMeter blind(loop.clock, driver);
  loop.run(expect_nothing(blind));
}

}  // namespace
}  // namespace mesclun::agent
