#include "sim/sweep.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace mesclun::sim {
namespace {

SimResult good(uint64_t) {
  return {.checks = 10};
}

TEST(Sweep, ReadsARangeOfSeeds) {
  const auto seeds = parse_seeds("3..1000");
  ASSERT_TRUE(seeds);
  EXPECT_EQ(seeds->first, 3u);
  EXPECT_EQ(seeds->last, 1000u);
  for (const char* wrong : {"", "3", "3..", "..3", "4..3", "1..x", "-1..3", "1...3"}) {
    EXPECT_FALSE(parse_seeds(wrong)) << wrong;
  }
}

TEST(Sweep, RunsEverySeedOnce) {
  std::vector<uint64_t> progress;
  const auto swept = sweep({5, 24}, 3, good, [&](uint64_t done) { progress.push_back(done); });
  ASSERT_TRUE(swept);
  EXPECT_EQ(swept->passed, 20u);
  EXPECT_EQ(swept->checks, 200u);
  EXPECT_FALSE(swept->failed);
  EXPECT_EQ(progress.size(), 20u);
  EXPECT_EQ(progress.back(), 20u);
}

TEST(Sweep, StopsAtTheFirstFailure) {
  const auto run = [](uint64_t seed) {
    SimResult result = good(seed);
    if (seed == 7) result.violations = {"one", "two"};
    return result;
  };
  const auto swept = sweep({1, 1'000'000'000}, 1, run, [](uint64_t) {});
  ASSERT_TRUE(swept);
  EXPECT_EQ(swept->passed, 6u);
  ASSERT_TRUE(swept->failed);
  EXPECT_EQ(swept->failed->seed, 7u);
  EXPECT_EQ(swept->failed->violations, (std::vector<std::string>{"one", "two"}));
}

TEST(Sweep, ASimulationThatAbortsIsAFailedSeed) {
  const auto run = [](uint64_t seed) {
    if (seed == 2) raise(SIGKILL);
    if (seed == 3) _exit(4);
    return good(seed);
  };
  for (const uint64_t seed : {2, 3}) {
    const auto swept = sweep({seed, seed}, 2, run, [](uint64_t) {});
    ASSERT_TRUE(swept);
    ASSERT_TRUE(swept->failed);
    EXPECT_EQ(swept->failed->violations.size(), 1u);
  }
}

}  // namespace
}  // namespace mesclun::sim
