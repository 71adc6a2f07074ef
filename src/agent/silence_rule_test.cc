#include "agent/silence_rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/agent_test_kit.h"

namespace mesclun::agent {
namespace {

const TimePoint kBegin = TimePoint{} + 1h;

TEST(SilenceRule, OnlyListeningWithoutASessionCounts) {
  SilenceRule rule(10min, Duration::zero(), kBegin);
  TimePoint now = kBegin;
  const auto look = [&](bool connected, Duration step) {
    now += step;
    return rule.look(connected, now).stop;
  };
  for (int i = 0; i < 39; ++i) EXPECT_FALSE(look(false, 15s));
  EXPECT_FALSE(look(true, 15s));
  EXPECT_EQ(rule.silent(), 0s);
  EXPECT_FALSE(look(false, std::chrono::hours(5))) << "the machine slept";
  for (int i = 0; i < 37; ++i) EXPECT_FALSE(look(false, 15s));
  EXPECT_TRUE(look(false, 15s));
  EXPECT_TRUE(look(false, 15s)) << "until there is a session";
  EXPECT_FALSE(look(true, 15s));
}

TEST(SilenceRule, AnAgentGoesOnWithWhatTheOneBeforeCounted) {
  SilenceRule rule(10min, 9min, kBegin);
  EXPECT_FALSE(rule.look(false, kBegin + 15s).stop);
  EXPECT_FALSE(rule.look(false, kBegin + 45s).stop);
  EXPECT_TRUE(rule.look(false, kBegin + 60s).stop);
}

TEST(SilenceRule, IsSavedNowAndThenAndWhenItEnds) {
  SilenceRule rule(10min, Duration::zero(), kBegin);
  int saves = 0;
  for (int i = 1; i <= 39; ++i) saves += rule.look(false, kBegin + i * 15s).save;
  EXPECT_EQ(saves, 9);
  EXPECT_TRUE(rule.look(true, kBegin + 10min).save);
  EXPECT_FALSE(rule.look(true, kBegin + 11min).save);
}

TEST(SilenceRule, ALimitOfZeroIsNone) {
  SilenceRule rule(Duration::zero(), Duration::zero(), kBegin);
  for (int i = 1; i <= 1000; ++i) EXPECT_FALSE(rule.look(false, kBegin + i * 1min).stop);
}

class SilentCloudTest : public testing::Test {
 protected:
  SilentCloudTest() {
    node.cloud.assign("a", test_spec());
    node.start();
    EXPECT_TRUE(node.until([&] { return node.report().state == link::RunState::Running; }));
  }
  void lose_cloud() {
    node.cloud.down = true;
    node.cloud.hang_up();
  }
  TestNode node;
};

TEST_F(SilentCloudTest, FiveMinutesWithoutACloudChangeNothing) {
  lose_cloud();
  node.run_for(5min);
  EXPECT_EQ(node.driver.live().size(), 1u);
  node.cloud.down = false;
  ASSERT_TRUE(node.until([&] { return node.cloud.sessions == 2; }));
  node.run_for(1h);
  EXPECT_EQ(node.driver.live().size(), 1u);
  EXPECT_EQ(node.driver.starts(), 1u);
}

TEST_F(SilentCloudTest, AfterTenMinutesNothingRunsAnyMore) {
  lose_cloud();
  node.run_for(9min + 30s);
  EXPECT_EQ(node.driver.live().size(), 1u);
  node.run_for(2min);
  EXPECT_TRUE(node.driver.live().empty());
  node.cloud.down = false;
  ASSERT_TRUE(node.until([&] { return node.report().state == link::RunState::Ended; }));
  EXPECT_EQ(node.report().outcome, link::RunOutcome::Replace);
  EXPECT_FALSE(node.report().exclude_node);
  EXPECT_THAT(node.report().reason, testing::HasSubstr("no word from the cloud"));
}

TEST_F(SilentCloudTest, AgentsThatComeAndGoDoNotBeginTheCountAnew) {
  lose_cloud();
  for (int i = 0; i < 3; ++i) {
    node.run_for(3min);
    node.kill();
    node.start();
    EXPECT_EQ(node.driver.live().size(), 1u) << i;
  }
  node.run_for(5min);
  EXPECT_TRUE(node.driver.live().empty());
}

}  // namespace
}  // namespace mesclun::agent
