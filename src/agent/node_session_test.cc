#include <gmock/gmock.h>

#include "agent/agent_test_kit.h"

namespace mesclun::agent {
namespace {

TEST(NodeSession, SaysWhoItIsAndKeepsItsIdentity) {
  TestNode node;
  node.start();
  ASSERT_TRUE(node.until([&] { return node.cloud.sessions == 1; }));
  const link::Hello first = node.cloud.last_hello;
  EXPECT_TRUE(is_uuid(first.machine_id));
  EXPECT_FALSE(first.node_secret.empty());
  EXPECT_EQ(first.join_token, "join");
  EXPECT_EQ(first.facts.runtime, "fake");
  node.kill();
  node.start();
  ASSERT_TRUE(node.until([&] { return node.cloud.sessions == 2; }));
  EXPECT_EQ(node.cloud.last_hello.machine_id, first.machine_id);
  EXPECT_EQ(node.cloud.last_hello.node_secret, first.node_secret);
}

TEST(NodeSession, ComesBackAfterABreakWithinASecond) {
  TestNode node;
  node.start();
  ASSERT_TRUE(node.until([&] { return node.cloud.sessions == 1; }));
  node.cloud.hang_up();
  EXPECT_TRUE(node.until([&] { return node.cloud.sessions == 2; }, 1s));
}

TEST(NodeSession, ACloudThatIsDownIsDialledForEverButNotTooOften) {
  TestNode node;
  node.cloud.down = true;
  node.start();
  node.run_for(1h);
  EXPECT_GE(node.cloud.dials, 360);
  EXPECT_LE(node.cloud.dials, 800);
  node.cloud.down = false;
  EXPECT_TRUE(node.until([&] { return node.cloud.sessions == 1; }, 11s));
}

TEST(NodeSession, ASilentCloudIsDialledAnewAfterThreeHeartbeats) {
  TestNode node;
  node.cloud.silent = true;
  node.start();
  ASSERT_TRUE(node.until([&] { return node.cloud.sessions == 1; }));
  node.run_for(14s);
  EXPECT_EQ(node.cloud.sessions, 1);
  node.run_for(2s);
  EXPECT_EQ(node.cloud.sessions, 2);
}

TEST(NodeSession, AnIdleSessionLastsOnHeartbeats) {
  TestNode node;
  node.start();
  node.run_for(1h);
  EXPECT_EQ(node.cloud.sessions, 1);
  EXPECT_LE(node.cloud.reports, 3);
}

TEST(NodeSession, ABusyAgentStillAsksWhetherTheCloudLives) {
  TestNode node;
  node.cloud.assign("a", test_spec());
  node.start();
  for (int32_t i = 1; i < 60; ++i) {
    node.run_for(1s);
    node.instance().set_deletion_cost(
        i);  // a report each second, and nothing that the cloud answers
  }
  EXPECT_EQ(node.cloud.sessions, 1);
  EXPECT_GE(node.cloud.reports, 59);
}

TEST(NodeSession, ARefusalIsTriedAgainSlowlyAndSaid) {
  TestNode node;
  node.cloud.refusal = link::Goodbye{std::string(to_string(ErrorCode::Unauthenticated)),
                                     "the join token is not valid"};
  node.start();
  node.run_for(61s);
  EXPECT_EQ(node.cloud.dials, 3);
  EXPECT_EQ(node.agent->session_state(), "refused by the cloud: the join token is not valid");
  node.cloud.refusal.reset();
  node.run_for(30s);
  EXPECT_EQ(node.agent->session_state(), "connected");
}

TEST(NodeSession, ACloudThatRestartsIsNotARefusal) {
  TestNode node;
  node.cloud.refusal =
      link::Goodbye{std::string(to_string(ErrorCode::Unavailable)), "shutting down"};
  node.start();
  node.run_for(5s);
  EXPECT_GT(node.cloud.dials, 3);
}

}  // namespace
}  // namespace mesclun::agent
