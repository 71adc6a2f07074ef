// A machine in trouble: what runs there moves, nobody is blamed, and nothing new is taken until it is
// over.
#include "agent/machine_watch.h"

#include <gmock/gmock.h>

#include "agent/agent_test_kit.h"

namespace mesclun::agent {
namespace {

using link::RunOutcome;
using link::RunState;
using testing::HasSubstr;

class MachineWatchTest : public testing::Test {
 protected:
  void refuse_runs(const std::string& why) {
    node.driver.set_trouble(why);
    node.driver.set_script(
        [why](const runtime::RunSpec&, Random&) { return runtime::FakeRun{.create_error = why}; });
  }
  void mend() {
    node.driver.set_trouble("");
    node.driver.set_script({});
  }
  TestNode node;
};

TEST_F(MachineWatchTest, ARefusedRunIsTheMachinesAndNothingNewIsTakenUntilItRecovered) {
  refuse_runs("cannot fork: out of memory");
  node.cloud.assign("a", test_spec());
  node.start();
  ASSERT_TRUE(node.until([&] { return node.report("a").state == RunState::Ended; }));
  EXPECT_EQ(node.report("a").outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report("a").exclude_node);
  EXPECT_THAT(node.cloud.last.trouble, HasSubstr("out of memory"));
  // What the cloud sends all the same is not tried.
  const size_t creates = node.driver.creates();
  node.cloud.assign("b", test_spec());
  node.cloud.say();
  node.run_for(1s);
  EXPECT_EQ(node.report("b").outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report("b").exclude_node);
  EXPECT_EQ(node.driver.creates(), creates);
  node.run_for(5min);
  EXPECT_NE(node.cloud.last.trouble, "");
  mend();
  ASSERT_TRUE(node.until([&] { return node.cloud.last.trouble.empty(); }, 15s));
  node.cloud.assign("c", test_spec());
  node.cloud.say();
  EXPECT_TRUE(node.until([&] { return node.report("c").state == RunState::Running; }));
}

TEST_F(MachineWatchTest, WhatSeemsMendedAndFailsAgainIsTrustedEverLater) {
  refuse_runs("no such cgroup");
  node.driver.set_trouble("");  // the look finds nothing
  node.start();
  std::vector<Duration> holds;
  for (int i = 0; i < 4; ++i) {
    node.cloud.assign(std::to_string(i), test_spec());
    node.cloud.say();
    ASSERT_TRUE(node.until([&] { return !node.cloud.last.trouble.empty(); }));
    const TimePoint since = node.loop.clock.now();
    ASSERT_TRUE(node.until([&] { return node.cloud.last.trouble.empty(); }, 10min));
    holds.push_back(node.loop.clock.now() - since);
  }
  for (size_t i = 1; i < holds.size(); ++i) EXPECT_GT(holds[i], holds[i - 1] + 5s);
}

TEST_F(MachineWatchTest, AFullDiskIsSeenBeforeAnythingFailsAndWhatFailsThenIsNotBlamed) {
  node.cloud.assign("a", test_spec());
  node.start();
  ASSERT_TRUE(node.until([&] { return node.report("a").state == RunState::Running; }));
  node.store.broken = true;
  ASSERT_TRUE(node.until([&] { return !node.cloud.last.trouble.empty(); }, 31s));
  EXPECT_EQ(node.report("a").state, RunState::Running);
  node.driver.exit_now("instance-of-a", 1);
  node.run_for(1s);
  EXPECT_EQ(node.report("a").outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report("a").exclude_node);
  EXPECT_THAT(node.report("a").reason, HasSubstr("no space left"));
  node.store.broken = false;
  EXPECT_TRUE(node.until([&] { return node.cloud.last.trouble.empty(); }, 15s));
}

TEST_F(MachineWatchTest, WhatFailsOnASoundMachineIsBlamed) {
  node.cloud.assign("a", test_spec());
  node.start();
  ASSERT_TRUE(node.until([&] { return node.report("a").state == RunState::Running; }));
  node.driver.exit_now("instance-of-a", 1);
  node.run_for(1s);
  EXPECT_TRUE(node.report("a").exclude_node);
  EXPECT_EQ(node.cloud.last.trouble, "");
}

}  // namespace
}  // namespace mesclun::agent
