#include "cloud/usage_table.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace mesclun::cloud {
namespace {

const TimePoint kNow{std::chrono::hours(1)};

link::Usage used(const std::string& id, double cores, int64_t bytes) {
  link::Usage usage;
  usage.instances.push_back({.instance_id = id, .cpu_cores = cores, .memory_bytes = bytes});
  return usage;
}
link::Usage asked(const std::string& id, double rate, int64_t in_flight) {
  link::Usage usage;
  usage.instances.push_back(
      {.instance_id = id, .requests_per_second = rate, .in_flight = in_flight});
  return usage;
}

TEST(UsageTable, ANodeIsBelievedAboutItsOwnInstancesOnly) {
  UsageTable table;
  table.take_node("n", used("i", 0.5, 100), kNow);
  table.take_node("m", used("i", 9, 900), kNow);
  const link::InstanceUsage usage = table.find("n", "i", kNow);
  EXPECT_EQ(usage.cpu_cores, 0.5);
  EXPECT_EQ(usage.memory_bytes, 100);
  EXPECT_FALSE(usage.requests_per_second) << "no gateway has said anything";
  EXPECT_FALSE(table.find("n", "other", kNow).cpu_cores);
}

TEST(UsageTable, AMachineIsReadWithinBoundsAndWhileThatIsFresh) {
  UsageTable table;
  link::Usage usage;
  usage.machine.emplace();
  usage.machine->gpus.resize(1000, {.device = std::string(10'000, 'x'), .memory_free_mb = 5});
  usage.machine->endpoints.resize(1000, {.name = "\xFF", .problem = std::string(10'000, 'y')});
  table.take_node("n", usage, kNow);
  const link::MachineReading* read = table.machine("n", kNow);
  ASSERT_NE(read, nullptr);
  EXPECT_LT(read->gpus.size(), 100u);
  EXPECT_LT(read->endpoints.size(), 100u);
  EXPECT_LE(read->gpus.front().device.size(), 200u);
  EXPECT_LE(read->endpoints.front().problem.size(), 200u);
  EXPECT_TRUE(is_utf8(read->endpoints.front().name));
  EXPECT_EQ(table.machine("other", kNow), nullptr);
  EXPECT_EQ(table.machine("n", kNow + UsageTable::kFresh), nullptr);
}

TEST(UsageTable, RequestsOfAllGatewaysAreAddedUp) {
  UsageTable table;
  table.take_gateway("eu", asked("i", 2, 3), kNow);
  table.take_gateway("us", asked("i", 5, 7), kNow);
  EXPECT_EQ(table.find("n", "i", kNow).requests_per_second, 7);
  EXPECT_EQ(table.find("n", "i", kNow).in_flight, 10);
  EXPECT_EQ(table.find("n", "idle", kNow).requests_per_second, 0);
  table.take_gateway("us", {}, kNow);
  EXPECT_EQ(table.find("n", "i", kNow).in_flight, 3);
}

TEST(UsageTable, WhatIsOldIsNotKnown) {
  UsageTable table;
  table.take_node("n", used("i", 0.5, 100), kNow);
  table.take_gateway("eu", asked("i", 2, 3), kNow);
  EXPECT_FALSE(table.find("n", "i", kNow + UsageTable::kFresh).cpu_cores);
  EXPECT_FALSE(table.find("n", "i", kNow + UsageTable::kFresh).in_flight);
}

}  // namespace
}  // namespace mesclun::cloud
