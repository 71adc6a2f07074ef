// The whole agent under virtual time: adoption, reports, owner's modes, tokens.
#include "agent/node_agent.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/agent_test_kit.h"
#include "http/client.h"

namespace mesclun::agent {
namespace {

using link::NodeMode;
using link::RunOutcome;
using link::RunState;

class NodeAgentTest : public testing::Test {
 protected:
  void begin(runtime::FakeRun behaviour = {}, std::string_view more = "{}") {
    node.driver.set_script([behaviour](const runtime::RunSpec&, Random&) { return behaviour; });
    node.cloud.assign("a", test_spec(more));
    node.start();
    ASSERT_TRUE(running());
  }
  bool running() {
    return node.until([&] { return node.report().state == RunState::Running; });
  }
  size_t count(std::string_view name) {
    node.run_for(50ms);
    return static_cast<size_t>(std::ranges::count(node.cloud.event_names(), name));
  }

  TestNode node;
};

TEST_F(NodeAgentTest, AKilledAgentAdoptsItsRunsWithoutRestartingThem) {
  begin({}, R"({"readiness_probe": {"exec": {"command": ["check"]}}})");
  ASSERT_TRUE(node.until([&] { return node.report().ready; }));
  node.instance().set_deletion_cost(5);
  node.run_for(1s);
  node.kill();
  EXPECT_EQ(node.driver.live().size(), 1u);
  node.cloud.last = {};
  node.start();
  ASSERT_TRUE(running());
  EXPECT_EQ(node.driver.starts(), 1u);
  EXPECT_EQ(node.report().instance_id, "instance-of-a");
  EXPECT_TRUE(node.report().ready);
  EXPECT_EQ(node.report().deletion_cost, 5);
  node.run_for(1min);
  EXPECT_EQ(node.driver.starts(), 1u);
  EXPECT_EQ(count("Instance Running"), 1u);
  EXPECT_EQ(count("Instance Ready (Readiness Probe Passed)"), 1u);
  // And it is watched: its exit is seen.
  node.driver.exit_now("instance-of-a", 1);
  node.run_for(1s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
}

TEST_F(NodeAgentTest, ARunThatEndedMeanwhileIsReportedTruthfully) {
  begin();
  node.kill();
  node.run_for(1min);
  node.driver.exit_now("instance-of-a", 3);
  node.run_for(1min);
  node.start();
  node.run_for(1s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_TRUE(node.report().exclude_node);
  EXPECT_EQ(count("Instance Exited:3 (Error)"), 1u);
  EXPECT_EQ(node.driver.known(), 0u);
}

TEST_F(NodeAgentTest, ARestartedMachineHasLostItsRunsAndExcludesNothing) {
  begin();
  node.kill();
  node.driver.reboot();
  node.start();
  node.run_for(1s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report().exclude_node);
  EXPECT_EQ(count("Instance Interrupted (Node Offline)"), 1u);
  EXPECT_EQ(node.driver.starts(), 1u);
}

TEST_F(NodeAgentTest, UnknownRunsAreStoppedAndRemoved) {
  begin();
  node.kill();
  node.store.erase_allocation("a").value();
  node.cloud.desired.assignments.clear();
  node.start();
  node.run_for(1s);
  EXPECT_EQ(node.driver.known(), 0u);
}

TEST_F(NodeAgentTest, AnAgentKilledWhileCreatingBeginsAgain) {
  node.driver.set_script(
      [](const runtime::RunSpec&, Random&) { return runtime::FakeRun{.create_time = 10s}; });
  node.cloud.assign("a", test_spec());
  node.start();
  node.run_for(5s);
  node.kill();
  node.start();
  ASSERT_TRUE(running());
  EXPECT_EQ(node.driver.starts(), 1u);
  EXPECT_EQ(node.driver.live().size(), 1u);
}

TEST_F(NodeAgentTest, AReallocationThatWasAnsweredIsDoneByTheNextAgent) {
  begin();
  node.instance().ask(SelfAction::Reallocate, "slow");
  node.kill();
  node.start();
  node.run_for(1s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_EQ(count("Instance Reallocated by User"), 1u);
}

TEST_F(NodeAgentTest, FilesOfARunInItsBackOffAreKeptOverARestart) {
  begin({.exit_after = 1s});
  ASSERT_TRUE(node.until([&] { return node.driver.starts() == 4 && node.driver.live().empty(); }));
  node.run_for(500ms);
  node.kill();
  node.start();
  ASSERT_TRUE(node.until([&] { return node.driver.starts() == 5; }, 1s));
  EXPECT_NE(node.driver.find_spec(node.driver.live().at(0))->files_of, "");
}

TEST_F(NodeAgentTest, WithoutACloudEverythingRunsOnWhereTheOwnerWantsIt) {
  node.settings.stop_after_silence = Duration::zero();
  begin({.exit_after = 1h});
  node.cloud.down = true;
  node.cloud.hang_up();
  node.run_for(24h);
  EXPECT_EQ(node.driver.live().size(), 1u);
  EXPECT_EQ(node.driver.starts(), 25u);  // restarted in place meanwhile
  node.kill();
  node.start();
  node.run_for(10s);
  EXPECT_EQ(node.driver.live().size(), 1u);
}

TEST_F(NodeAgentTest, EventsOfATimeWithoutACloudArriveOnceInOrder) {
  node.settings.stop_after_silence = Duration::zero();
  begin({.exit_after = 10min});
  node.cloud.down = true;
  node.cloud.hang_up();
  node.run_for(1h);
  node.cloud.down = false;
  ASSERT_TRUE(node.until([&] { return node.cloud.sessions == 2; }));
  node.run_for(1s);
  EXPECT_GE(node.cloud.events.size(), 15u);
  for (size_t i = 0; i < node.cloud.events.size(); ++i) {
    EXPECT_EQ(node.cloud.events[i].sequence, static_cast<int64_t>(i) + 1);
  }
  EXPECT_EQ(node.agent->events_waiting(), 0u);
}

TEST_F(NodeAgentTest, UnacknowledgedEventsAreSaidAgain) {
  node.cloud.acknowledges = false;
  begin();
  node.run_for(1s);
  EXPECT_EQ(node.agent->events_waiting(), 3u);
  node.cloud.events.clear();
  node.run_for(6s);
  EXPECT_EQ(node.cloud.events.size(), 3u);
  node.cloud.acknowledges = true;
  node.run_for(6s);
  EXPECT_EQ(node.agent->events_waiting(), 0u);
}

TEST_F(NodeAgentTest, ReportsAreCoalesced) {
  for (int i = 0; i < 50; ++i) node.cloud.assign(fmt::format("a{}", i), test_spec());
  node.start();
  ASSERT_TRUE(node.until([&] { return node.driver.starts() == 50; }));
  node.run_for(1s);
  EXPECT_LE(node.cloud.reports, 5);
  EXPECT_EQ(node.cloud.last.instances.size(), 50u);
  EXPECT_EQ(node.cloud.last.revision, 1);
}

TEST_F(NodeAgentTest, ReadinessIsReportedWithinTheGap) {
  begin({.ready_after = 10s}, R"({"readiness_probe": {"exec": {"command": ["check"]}}})");
  ASSERT_TRUE(node.until([&] { return node.report().ready; }));
  node.driver.set_healthy("instance-of-a", false);
  int reports = node.cloud.reports;
  ASSERT_TRUE(node.until([&] { return node.cloud.reports > reports; }));
  EXPECT_FALSE(node.report().ready);
  const int64_t lag = to_unix_nanos(node.loop.clock.wall_now()) - node.report().update_time;
  EXPECT_LE(lag, Duration(20ms).count());
}

TEST_F(NodeAgentTest, AnOlderDesireOfTheSameSessionIsIgnored) {
  begin();
  node.cloud.say_quietly(link::Desired{.revision = 0});
  node.run_for(1min);
  EXPECT_EQ(node.driver.live().size(), 1u);
}

TEST_F(NodeAgentTest, APausedNodeKeepsWhatRunsAndTakesNothingNew) {
  begin();
  ASSERT_TRUE(node.agent->set_mode(NodeMode::Paused));
  node.cloud.assign("b", test_spec());
  node.cloud.say();
  node.run_for(1s);
  EXPECT_EQ(node.cloud.last.mode, NodeMode::Paused);
  EXPECT_EQ(node.report("a").state, RunState::Running);
  EXPECT_EQ(node.report("b").outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report("b").exclude_node);
  node.kill();
  node.start();
  node.run_for(1s);
  EXPECT_EQ(node.cloud.last.mode, NodeMode::Paused);
}

TEST_F(NodeAgentTest, ADrainedNodeLetsGoAndStaysDrained) {
  begin();
  ASSERT_TRUE(node.agent->set_mode(NodeMode::Draining));
  node.run_for(1s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report().exclude_node);
  EXPECT_EQ(count("Instance Interrupted (Node Offline)"), 1u);
  EXPECT_TRUE(node.driver.live().empty());
}

TEST_F(NodeAgentTest, StoppingEndsEverythingAndSaysSo) {
  begin({.stop_time = 10s});
  const TimePoint before = node.loop.clock.now();
  node.loop.run(node.agent->stop_instances("the agent was stopped", 40s));
  EXPECT_LT(node.loop.clock.now() - before, 11s);
  EXPECT_TRUE(node.driver.live().empty());
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_EQ(node.cloud.last.mode, NodeMode::Draining);
  node.kill();
  node.start();
  node.run_for(1s);
  EXPECT_EQ(node.agent->mode(), NodeMode::Active);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_EQ(node.driver.starts(), 1u);
}

TEST_F(NodeAgentTest, AnAgentKilledWhileStoppingBlamesNobody) {
  begin({.stop_time = 10s});
  Scope scope(node.loop.executor(), "stop");
  scope.spawn(node.agent->stop_instances("the agent was stopped", 40s));
  node.run_for(5s);
  scope.cancel();
  node.kill();
  node.run_for(10s);
  node.driver.exit_now("instance-of-a", 143);
  node.start();
  node.run_for(1s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report().exclude_node);
}

TEST_F(NodeAgentTest, ASpecThatIsNotUnderstoodMoves) {
  node.cloud.assign("a", json::object{{"container", 7}});
  node.start();
  node.run_for(1s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
}

TEST_F(NodeAgentTest, AStopForWhatNeverRanHereIsAnswered) {
  node.cloud.assign("a", test_spec()).wish.stop = true;
  node.start();
  node.run_for(1s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Stopped);
  EXPECT_EQ(node.driver.creates(), 0u);
}

TEST_F(NodeAgentTest, NodeFactsAndTheCpuShareReachTheRun) {
  begin();
  EXPECT_DOUBLE_EQ(node.driver.find_spec("instance-of-a")->cpu_cores, 1.0);  // 50 % of two
  EXPECT_EQ(node.driver.find_spec("instance-of-a")->environment.at("SALAD_MACHINE_ID"),
            node.agent->machine_id());
}

Task<Result<>> get(InstanceSupervisor& instance, VirtualLoop& loop, std::string target,
                   HttpReply& reply) {
  auto [ours, theirs] = memory_conn_pair(loop.executor(), loop.clock);
  instance.serve_metadata(std::move(theirs));
  HttpCall call{.target = std::move(target)};
  call.headers.add("Metadata", "true");
  bool keep_alive = false;
  CO_TRY(reply, co_await http_call(*ours, std::move(call), "169.254.169.254", 65536, keep_alive));
  co_return Result<>();
}

TEST_F(NodeAgentTest, MetadataIsServedFromTheNodeAlsoWithoutACloud) {
  begin();
  HttpReply reply;
  node.loop.run(get(node.instance(), node.loop, "/v1/token", reply));
  EXPECT_EQ(reply.body, R"({"jwt":"token-1"})");
  EXPECT_EQ(node.cloud.token_requests, 1);
  node.cloud.down = true;
  node.cloud.hang_up();
  node.run_for(4min);
  node.loop.run(get(node.instance(), node.loop, "/v1/token", reply));
  EXPECT_EQ(reply.status, 200);  // old, still valid
  node.loop.run(get(node.instance(), node.loop, "/v1/status", reply));
  EXPECT_EQ(reply.body, R"({"ready":true,"started":true})");
  node.run_for(2min);
  node.loop.run(get(node.instance(), node.loop, "/v1/token", reply));
  EXPECT_EQ(reply.status, 503);
}

TEST_F(NodeAgentTest, TheSameSeedIsTheSameRun) {
  auto trace = [] {
    TestNode other;
    other.driver.set_script([](const runtime::RunSpec&, Random& random) {
      return runtime::FakeRun{.exit_after = std::chrono::seconds(1 + random.below(600))};
    });
    for (int i = 0; i < 10; ++i) other.cloud.assign(fmt::format("a{}", i), test_spec());
    other.start();
    other.run_for(1h);
    std::string out;
    for (const auto& e : other.cloud.events) {
      out += fmt::format("{} {} {} {}\n", e.sequence, e.instance_id, e.time, e.name);
    }
    return out;
  };
  const std::string first = trace();
  EXPECT_GT(first.size(), 1000u);
  EXPECT_EQ(first, trace());
}

}  // namespace
}  // namespace mesclun::agent
