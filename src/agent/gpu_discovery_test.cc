#include "agent/gpu_discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/test_loop.h"

namespace mesclun::agent {
namespace {

GpuDiscovery discover(const char* mode) {
  ::setenv("FAKE_NVML", mode, 1);
  return discover_gpus(MESCLUN_FAKE_NVML);
}

TEST(GpuDiscovery, NamesGpusLikeTheClassesOfTheCloud) {
  const GpuDiscovery found = discover("two");
  ASSERT_EQ(found.gpus.size(), 2u);
  EXPECT_EQ(found.gpus[0].name, "RTX 4090 (24 GB)");
  EXPECT_EQ(found.gpus[1].name, "H100 80GB HBM3 (80 GB)");
  EXPECT_EQ(found.gpus[0].class_id, "");
  EXPECT_EQ(found.gpus[0].device, "GPU-0");
  EXPECT_EQ(found.gpus[1].device, "GPU-1");
  EXPECT_EQ(found.gpus[0].memory_mb, 24'564);
  EXPECT_EQ(found.driver, "570.86.10");
  EXPECT_EQ(found.cuda, "12.8");
  EXPECT_FALSE(found.gpus[0].pretended);
  EXPECT_EQ(found.problem, "");
}

TEST(GpuDiscovery, AMachineWithoutADriverHasNone) {
  const GpuDiscovery found = discover_gpus("libno-such-driver.so.1");
  EXPECT_TRUE(found.gpus.empty());
  EXPECT_EQ(found.problem, "");
}

TEST(GpuDiscovery, ADriverWithoutGpusHasNone) {
  EXPECT_TRUE(discover("none").gpus.empty());
}

TEST(GpuDiscovery, ABrokenDriverIsSaid) {
  const GpuDiscovery found = discover("dead");
  EXPECT_TRUE(found.gpus.empty());
  EXPECT_THAT(found.problem, testing::HasSubstr("NVML error 9"));
}

TEST(GpuDiscovery, ALostGpuDoesNotHideTheOthers) {
  const GpuDiscovery found = discover("lost");
  ASSERT_EQ(found.gpus.size(), 1u);
  EXPECT_THAT(found.problem, testing::HasSubstr("GPU 0"));
}

TEST(GpuDiscovery, ALibraryThatIsNoDriverIsSaid) {
  EXPECT_THAT(discover_gpus("libm.so.6").problem, testing::HasSubstr("too old"));
}

Task<Result<>> wait_for_readings(const GpuMeter& meter, Clock& clock) {
  while (meter.readings().empty()) CO_TRY_DO(co_await clock.sleep_for(5ms));
  co_return Result<>();
}
std::vector<link::GpuReading> first_readings(const GpuMeter& meter) {
  RealLoop loop;
  loop.run(wait_for_readings(meter, loop.clock));
  return meter.readings();
}

TEST(GpuMeter, TellsWhatIsFree) {
  ::setenv("FAKE_NVML", "two", 1);
  const GpuMeter meter(10ms, MESCLUN_FAKE_NVML);
  const auto read = first_readings(meter);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0], (link::GpuReading{.device = "GPU-0", .memory_free_mb = 23'564}));
  EXPECT_EQ(read[1].memory_free_mb, 80'559);
}

TEST(GpuMeter, PassesOverALostGpu) {
  ::setenv("FAKE_NVML", "lost", 1);
  const GpuMeter meter(1h, MESCLUN_FAKE_NVML);
  const auto read = first_readings(meter);
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(read[0].device, "GPU-1");
}

TEST(GpuMeter, WithoutADriverThereIsNothingAndItsEndIsAtOnce) {
  const GpuMeter none(1h, "libno-such-driver.so.1");
  EXPECT_TRUE(none.readings().empty());
  ::setenv("FAKE_NVML", "dead", 1);
  const GpuMeter dead(1h, MESCLUN_FAKE_NVML);
}

TEST(GpuClassName, RoundsReservedMemoryAway) {
  EXPECT_EQ(gpu_class_name("NVIDIA GeForce RTX 3060", 12'288ULL * 1024 * 1024), "RTX 3060 (12 GB)");
  EXPECT_EQ(gpu_class_name("NVIDIA GeForce RTX 3080", 10'240ULL * 1024 * 1024), "RTX 3080 (10 GB)");
  EXPECT_EQ(gpu_class_name("Tesla T4", 15'360ULL * 1024 * 1024), "Tesla T4 (15 GB)");
}

}  // namespace
}  // namespace mesclun::agent
