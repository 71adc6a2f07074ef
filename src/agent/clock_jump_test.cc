// A machine whose wall clock is set while instances run: nothing is lost, nothing starts anew.
#include <gmock/gmock.h>

#include "agent/agent_test_kit.h"

namespace mesclun::agent {
namespace {

// The loop's time, with a wall clock of its own.
class SetClock final : public Clock {
 public:
  explicit SetClock(Clock& real) : real_(real) {}
  TimePoint now() const override { return real_.now(); }
  WallTime wall_now() const override { return real_.wall_now() + ahead; }
  Task<bool> wait_on(asio::steady_timer& timer, TimePoint when) override {
    return real_.wait_on(timer, when);
  }
  Duration ahead{};

 private:
  Clock& real_;
};

class ClockJumpTest : public testing::TestWithParam<Duration> {
 protected:
  ClockJumpTest() { node.shown_clock = &clock; }
  void begin(runtime::FakeRun behaviour = {}) {
    node.driver.set_script([behaviour](const runtime::RunSpec&, Random&) { return behaviour; });
    node.cloud.assign("a", test_spec(R"({
        "networking": {"port": 80, "auth": false, "protocol": "http"},
        "liveness_probe": {"http": {"path": "/", "port": 80, "headers": []}},
        "readiness_probe": {"http": {"path": "/", "port": 80, "headers": []}}})"));
    node.start();
  }
  TestNode node;
  SetClock clock{node.loop.clock};
};

TEST_P(ClockJumpTest, WhatRunsRunsOn) {
  begin();
  ASSERT_TRUE(node.until([&] { return node.report().ready; }));
  clock.ahead = GetParam();
  node.run_for(30min);
  EXPECT_TRUE(node.report().ready);
  EXPECT_EQ(node.driver.starts(), 1u);
  EXPECT_EQ(node.cloud.sessions, 1);
  EXPECT_THAT(node.cloud.event_names(),
              testing::ElementsAre("Instance Creating", "Instance Starting", "Instance Running",
                                   "Instance Ready (Readiness Probe Passed)"));
}

TEST_P(ClockJumpTest, TheNextAgentAdoptsIt) {
  begin();
  ASSERT_TRUE(node.until([&] { return node.report().ready; }));
  node.kill();
  clock.ahead = GetParam();
  node.start();
  node.run_for(30min);
  EXPECT_TRUE(node.report().ready);
  EXPECT_EQ(node.driver.starts(), 1u);
}

TEST_P(ClockJumpTest, AnEndIsSeenAndSaidAfterIt) {
  begin();
  ASSERT_TRUE(node.until([&] { return node.report().ready; }));
  clock.ahead = GetParam();
  node.driver.exit_now(node.report().instance_id, 0);
  EXPECT_TRUE(node.until([&] { return node.driver.starts() == 2; }));
  node.run_for(1s);
  EXPECT_TRUE(node.report().ready);
  EXPECT_THAT(node.cloud.event_names(),
              testing::Contains("Instance Exited:0 (Exited Successfully)"));
}

TEST_P(ClockJumpTest, QuickExitsStillEndSomewhere) {
  begin({.exit_after = 1s});
  ASSERT_TRUE(node.until([&] { return node.driver.starts() == 3; }));
  clock.ahead = GetParam();
  // At the latest five more restarts, of which each waits 8 s at most.
  EXPECT_TRUE(node.until([&] { return node.report().state == link::RunState::Ended; }, 2min));
  EXPECT_EQ(node.report().outcome, link::RunOutcome::Replace);
  EXPECT_LE(node.driver.starts(), 9u);
}

INSTANTIATE_TEST_SUITE_P(AnHour, ClockJumpTest, testing::Values(Duration(1h), Duration(-1h)),
                         [](const auto& info) { return info.param > 0s ? "Ahead" : "Back"; });

}  // namespace
}  // namespace mesclun::agent
