// One instance on a node under virtual time: lifecycle.md §3 to §6 and imds.md §5, seen from the
// cloud.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/agent_test_kit.h"

namespace mesclun::agent {
namespace {

using link::RunOutcome;
using link::RunState;
using testing::ElementsAre;

class InstanceTest : public testing::Test {
 protected:
  void begin(std::string_view more = "{}", runtime::FakeRun behaviour = {}) {
    node.driver.set_script([behaviour](const runtime::RunSpec&, Random&) { return behaviour; });
    node.cloud.assign("a", test_spec(more));
    node.start();
  }
  bool running() {
    return node.until([&] { return node.report().state == RunState::Running; });
  }
  bool ended(Duration limit = 60s) {
    return node.until([&] { return node.report().state == RunState::Ended; }, limit);
  }
  std::vector<std::string> events() {
    node.run_for(50ms);
    return node.cloud.event_names();
  }
  link::Assignment& wanted() { return node.cloud.desired.assignments.at(0); }

  TestNode node;
};

TEST_F(InstanceTest, AGoodStartHasTheObservedOrder) {
  begin(R"({"networking": {"port": 80, "auth": false, "protocol": "http"},
            "startup_probe": {"http": {"path": "/", "port": 80, "headers": []}},
            "readiness_probe": {"http": {"path": "/", "port": 80, "headers": []}}})");
  ASSERT_TRUE(node.until([&] { return node.report().ready; }));
  EXPECT_TRUE(node.report().started);
  EXPECT_THAT(events(), ElementsAre("Instance Creating", "Instance Starting", "Instance Running",
                                    "Instance Ready (Readiness Probe Passed)",
                                    "Instance Startup Probe Passed"));
  EXPECT_EQ(node.report().instance_id, "instance-of-a");
}

TEST_F(InstanceTest, NewLimitsAreSetAsItRuns) {
  begin();
  ASSERT_TRUE(running());
  const std::string instance = node.report().instance_id;
  wanted().wish.version = 2;
  node.cloud.set_spec(wanted(),
                      test_spec(R"({"container": {"resources": {"cpu": 3, "memory": 4096}}})"));
  node.cloud.say();
  ASSERT_TRUE(node.until([&] { return node.report().version == 2; }));
  EXPECT_EQ(node.report().instance_id, instance);
  EXPECT_EQ(node.driver.find_spec(instance)->cpu_cores, 1.5) << "half of each core";
  EXPECT_EQ(node.driver.find_spec(instance)->memory_bytes, int64_t{4096} * 1024 * 1024);
  EXPECT_EQ(node.driver.starts(), 1u);
}

TEST_F(InstanceTest, WhetherItsImageIsCachedChangesAsItRuns) {
  begin();
  ASSERT_TRUE(running());
  const std::string instance = node.report().instance_id;
  for (const bool caching : {true, false}) {
    ++wanted().wish.version;
    node.cloud.set_spec(
        wanted(), test_spec(fmt::format(R"({{"container": {{"image_caching": {}}}}})", caching)));
    node.cloud.say();
    ASSERT_TRUE(node.until([&] { return node.report().version == wanted().wish.version; }));
    EXPECT_EQ(node.driver.find_spec(instance)->image_caching, caching);
  }
  EXPECT_EQ(node.driver.starts(), 1u);
}

TEST_F(InstanceTest, LimitsThatCannotChangeAsItRunsStartItAgain) {
  begin();
  ASSERT_TRUE(running());
  const std::string instance = node.report().instance_id;
  node.driver.refuse_limits("busy");
  wanted().wish.version = 2;
  node.cloud.set_spec(wanted(),
                      test_spec(R"({"container": {"resources": {"cpu": 3, "memory": 4096}}})"));
  node.cloud.say();
  ASSERT_TRUE(node.until([&] { return node.report().version == 2 && node.report().ready; }));
  EXPECT_NE(node.report().instance_id, instance);
  EXPECT_EQ(node.driver.find_spec(node.report().instance_id)->cpu_cores, 1.5)
      << "half of each core";
  EXPECT_EQ(node.driver.find_spec(node.report().instance_id)->files_of, instance);
}

TEST_F(InstanceTest, ADiskThatIsTooFullEndsItHere) {
  begin(R"({"container": {"resources": {"storage_amount": 2000000000}}})",
        {.overfills_after = 10s});
  ASSERT_TRUE(running());
  EXPECT_EQ(node.driver.find_spec("instance-of-a")->disk_bytes, 2'000'000'000);
  ASSERT_TRUE(ended());
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report().exclude_node);
  EXPECT_EQ(events().back(), "Instance Interrupted (Requested Disk Space Exceeded)");
  EXPECT_EQ(node.driver.known(), 0u);
}

TEST_F(InstanceTest, ADiskThatIsTooFullIsSeenByTheNextAgent) {
  begin();
  ASSERT_TRUE(running());
  node.kill();
  node.driver.overfill("instance-of-a");
  node.start();
  ASSERT_TRUE(ended());
  EXPECT_EQ(events().back(), "Instance Interrupted (Requested Disk Space Exceeded)");
}

TEST_F(InstanceTest, TheProcessRuntimeSaysThatNothingIsPulled) {
  node.driver.set_facts({.runtime = "process"});
  begin();
  ASSERT_TRUE(running());
  events();
  EXPECT_THAT(node.cloud.events.at(0).detail, testing::HasSubstr("does not pull"));
  EXPECT_THAT(node.cloud.events.at(0).detail, testing::HasSubstr("app:1"));
}

TEST_F(InstanceTest, WithoutProbesItIsReadyAsSoonAsItRuns) {
  begin("{}", {.create_time = 3s, .start_time = 2s});
  node.run_for(4s);
  EXPECT_EQ(node.report().state, RunState::Creating);
  EXPECT_FALSE(node.report().ready);
  node.run_for(1100ms);
  EXPECT_EQ(node.report().state, RunState::Running);
  EXPECT_TRUE(node.report().started);
  EXPECT_TRUE(node.report().ready);
}

TEST_F(InstanceTest, RepeatedDesiresStartItOnce) {
  begin();
  ASSERT_TRUE(running());
  for (int i = 0; i < 5; ++i) {
    node.cloud.say();
    node.run_for(1s);
  }
  node.cloud.hang_up();
  node.run_for(30s);
  EXPECT_EQ(node.driver.starts(), 1u);
  EXPECT_EQ(node.report().instance_id, "instance-of-a");
}

TEST_F(InstanceTest, StopEndsItWithTheGraceAndNothingIsLeft) {
  begin("{}", {.stop_time = 10s});
  ASSERT_TRUE(running());
  wanted().wish.stop = true;
  node.cloud.say();
  node.run_for(5s);
  EXPECT_EQ(node.report().state, RunState::Stopping);
  EXPECT_FALSE(node.report().ready);
  node.run_for(6s);
  EXPECT_EQ(node.report().state, RunState::Ended);
  EXPECT_EQ(node.report().outcome, RunOutcome::Stopped);
  EXPECT_EQ(node.driver.known(), 0u);
  EXPECT_THAT(events(), ElementsAre("Instance Creating", "Instance Starting", "Instance Running"));
}

TEST_F(InstanceTest, AnAssignmentThatIsMissingIsStoppedAndForgotten) {
  begin("{}", {.stop_time = 1h});
  ASSERT_TRUE(running());
  node.cloud.desired.assignments.clear();
  node.cloud.say();
  node.run_for(29s);
  EXPECT_EQ(node.cloud.last.instances.size(), 1u);
  node.run_for(2s);  // SIGKILL after 30 s
  EXPECT_TRUE(node.cloud.last.instances.empty());
  EXPECT_EQ(node.driver.known(), 0u);
  EXPECT_TRUE(node.store.load()->allocations.empty());
}

TEST_F(InstanceTest, ExitZeroUnderAlwaysRestartsInPlaceFiveTimesThenMoves) {
  begin("{}", {.exit_after = 1s});
  const std::string first = "instance-of-a";
  ASSERT_TRUE(ended(120s));
  // Six runs of a second, and back-offs of 0, 1, 2, 4 and 8 s.
  EXPECT_EQ(node.driver.starts(), 6u);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report().exclude_node);
  const auto names = events();
  EXPECT_EQ(std::ranges::count(names, "Instance Creating"), 1);
  EXPECT_EQ(std::ranges::count(names, "Instance Starting"), 6);
  EXPECT_EQ(std::ranges::count(names, "Instance Exited:0 (Exited Successfully)"), 6);
  std::set<std::string> ids;
  for (const auto& event : node.cloud.events) ids.insert(event.instance_id);
  EXPECT_EQ(ids.size(), 6u);  // a new one for each start
  EXPECT_TRUE(ids.contains(first));
}

TEST_F(InstanceTest, SlowExitsRestartInPlaceForEver) {
  begin("{}", {.exit_after = 3min});
  node.run_for(2h);
  EXPECT_EQ(node.report().outcome, RunOutcome::None);
  EXPECT_GE(node.driver.starts(), 39u);
}

TEST_F(InstanceTest, AnotherExitMovesAndExcludesAtOnce) {
  begin("{}", {.exit_after = 5s, .exit_code = 1});
  node.run_for(5s + 100ms);
  EXPECT_EQ(node.report().state, RunState::Ended);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_TRUE(node.report().exclude_node);
  EXPECT_EQ(events().back(), "Instance Exited:1 (Error)");
}

TEST_F(InstanceTest, OnFailureAndNeverAreDoneAfterExitZero) {
  for (const char* policy :
       {R"({"restart_policy": "on_failure"})", R"({"restart_policy": "never"})"}) {
    TestNode other;
    other.driver.set_script(
        [](const runtime::RunSpec&, Random&) { return runtime::FakeRun{.exit_after = 1s}; });
    other.cloud.assign("a", test_spec(policy));
    other.start();
    other.run_for(10s);
    EXPECT_EQ(other.report().outcome, RunOutcome::Succeeded) << policy;
    EXPECT_EQ(other.driver.starts(), 1u);
  }
}

TEST_F(InstanceTest, NeverIsFailedAfterAnotherExit) {
  begin(R"({"restart_policy": "never"})", {.exit_after = 1s, .exit_code = 2});
  ASSERT_TRUE(ended());
  EXPECT_EQ(node.report().outcome, RunOutcome::Failed);
}

TEST_F(InstanceTest, AProgramThatCannotStartNeverRuns) {
  begin("{}", {.start_failure = "no such file"});
  ASSERT_TRUE(ended());
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_TRUE(node.report().exclude_node);
  EXPECT_THAT(events(), ElementsAre("Instance Creating", "Instance Starting",
                                    "Instance Exited:-1 (Start Failure)"));
  EXPECT_THAT(node.cloud.events.back().detail, testing::HasSubstr("no such file"));
}

TEST_F(InstanceTest, NoCommandIsAStartFailureUnderTheProcessRuntime) {
  node.driver.set_facts({.runtime = "process"});
  begin(R"({"container": {"command": []}})");
  ASSERT_TRUE(ended());
  EXPECT_EQ(events().back(), "Instance Exited:-1 (Start Failure)");
  EXPECT_THAT(node.report().reason, testing::HasSubstr("command"));
  EXPECT_EQ(node.driver.starts(), 0u);
}

TEST_F(InstanceTest, ASpecThatNoMachineCanRunIsAStartFailure) {
  node.driver.set_script([](const runtime::RunSpec&, Random&) {
    return runtime::FakeRun{.create_error = "'A=B' cannot be an environment variable",
                            .bad_spec = true};
  });
  node.cloud.assign("a", test_spec(R"({"restart_policy": "never"})"));
  node.start();
  ASSERT_TRUE(ended());
  EXPECT_EQ(node.report().outcome, RunOutcome::Failed);
  EXPECT_EQ(events().back(), "Instance Exited:-1 (Start Failure)");
}

TEST_F(InstanceTest, AMachineThatCannotCreateItIsLeftAfterThreeTries) {
  begin("{}", {.create_error = "no space left on device"});
  ASSERT_TRUE(ended());
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report().exclude_node);
  EXPECT_THAT(node.report().reason, testing::HasSubstr("no space left"));
  EXPECT_EQ(events().back(), "Instance Reallocated by Platform");
}

// What the node cannot do is no fault of the application: nothing is run, nobody is blamed.
TEST_F(InstanceTest, AProbeThatTheNodeCannotCarryOutIsTheNodesOwnTrouble) {
  begin(R"({"liveness_probe": {"carrier_pigeon": {"port": 80}}})");
  ASSERT_TRUE(ended());
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_FALSE(node.report().exclude_node);
  EXPECT_THAT(node.report().reason, testing::HasSubstr("the node cannot carry out such a probe"));
  EXPECT_EQ(node.driver.starts(), 0u);
}

TEST_F(InstanceTest, AStateThatCannotBeStoredBeginsNothing) {
  begin();
  ASSERT_TRUE(running());
  node.store.broken = true;
  node.cloud.assign("b", test_spec());
  node.cloud.say();
  node.run_for(10s);
  EXPECT_EQ(node.report("b").outcome, RunOutcome::Replace);
  EXPECT_EQ(node.driver.starts(), 1u);
  EXPECT_EQ(node.report("a").state, RunState::Running);
}

TEST_F(InstanceTest, AFailedStartupProbeMovesAndExcludes) {
  begin(R"({"startup_probe": {"exec": {"command": ["check"]}, "initial_delay_seconds": 5,
      "period_seconds": 10, "timeout_seconds": 2, "success_threshold": 1, "failure_threshold": 3}})",
        {.ready_after = 1h});
  node.run_for(5s + 20s - 10ms);
  EXPECT_EQ(node.report().state, RunState::Running);
  EXPECT_FALSE(node.report().started);
  node.run_for(100ms);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_TRUE(node.report().exclude_node);
  EXPECT_EQ(events().back(), "Instance Interrupted (Startup Probe Failure)");
}

TEST_F(InstanceTest, AFailedLivenessProbeMovesAndExcludes) {
  begin(R"({"liveness_probe": {"exec": {"command": ["check"]}, "initial_delay_seconds": 0,
      "period_seconds": 1, "timeout_seconds": 1, "success_threshold": 1, "failure_threshold": 3}})",
        {.broken_after = 10s});
  node.run_for(9s);
  EXPECT_TRUE(node.report().ready);
  node.run_for(4s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_TRUE(node.report().exclude_node);
  EXPECT_EQ(events().back(), "Instance Interrupted (Liveness Probe Failure)");
}

TEST_F(InstanceTest, ReadinessFlapsWithoutEndingTheRun) {
  begin(R"({"readiness_probe": {"exec": {"command": ["check"]}}})");
  ASSERT_TRUE(node.until([&] { return node.report().ready; }));
  node.driver.set_healthy("instance-of-a", false);
  ASSERT_TRUE(node.until([&] { return !node.report().ready; }, 5s));
  EXPECT_EQ(events().back(), "Instance Not Ready (Readiness Probe Failure)");
  node.driver.set_healthy("instance-of-a", true);
  ASSERT_TRUE(node.until([&] { return node.report().ready; }, 5s));
  EXPECT_EQ(node.driver.starts(), 1u);
}

TEST_F(InstanceTest, TheCloudsRestartKeepsTheFilesAndRecreateDoesNot) {
  begin();
  ASSERT_TRUE(running());
  wanted().wish.run = 2;
  wanted().wish.run_action = link::RunAction::Restart;
  wanted().wish.run_by_user = true;
  node.cloud.say();
  node.run_for(1s);
  const std::string second = node.report().instance_id;
  EXPECT_NE(second, "instance-of-a");
  EXPECT_EQ(node.report().run, 2);
  EXPECT_EQ(node.driver.find_spec(second)->files_of, "instance-of-a");
  EXPECT_EQ(node.driver.find_spec(second)->environment.at("SALAD_INSTANCE_ID"), second);
  EXPECT_EQ(node.driver.known(), 1u);  // the earlier run was removed
  EXPECT_THAT(events(), ElementsAre("Instance Creating", "Instance Starting", "Instance Running",
                                    "Instance Restarted", "Instance Starting", "Instance Running"));
  wanted().wish.run = 3;
  wanted().wish.run_action = link::RunAction::Recreate;
  wanted().wish.run_by_user = false;
  node.cloud.say();
  node.run_for(1s);
  EXPECT_EQ(node.report().run, 3);
  EXPECT_EQ(node.driver.find_spec(node.report().instance_id)->files_of, "");
  const auto names = events();
  EXPECT_EQ(
      std::vector<std::string>(names.begin() + 6, names.end()),
      (std::vector<std::string>{"Instance Creating", "Instance Starting", "Instance Running"}));
}

TEST_F(InstanceTest, ANewVersionAloneIsOnlyALabel) {
  begin();
  ASSERT_TRUE(running());
  wanted().wish.version = 2;
  node.cloud.set_spec(wanted(), test_spec());
  node.cloud.say();
  node.run_for(1s);
  EXPECT_EQ(node.report().version, 2);
  EXPECT_EQ(node.driver.starts(), 1u);
}

TEST_F(InstanceTest, ANewVersionWithANewRunIsLabelledOnceItRuns) {
  begin("{}", {.stop_time = 10s});
  ASSERT_TRUE(running());
  wanted().wish.version = 2;
  wanted().wish.run = 2;
  node.cloud.set_spec(wanted(), test_spec(R"({"container": {"command": ["app2"]}})"));
  node.cloud.say();
  node.run_for(5s);
  EXPECT_EQ(node.report().version, 1);
  node.run_for(6s);
  EXPECT_EQ(node.report().version, 2);
  EXPECT_THAT(node.driver.find_spec(node.report().instance_id)->command, ElementsAre("app2"));
}

TEST_F(InstanceTest, ReallocateAnswersFirstThenMovesWithinASecond) {
  begin();
  ASSERT_TRUE(running());
  node.instance().ask(SelfAction::Reallocate, "too slow");
  node.instance().ask(SelfAction::Reallocate, "too slow");
  node.run_for(400ms);
  EXPECT_EQ(node.report().state, RunState::Running);
  node.run_for(600ms);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_TRUE(node.report().exclude_node);
  const auto names = events();
  EXPECT_EQ(std::ranges::count(names, "Instance Reallocated by User"), 1);
  EXPECT_EQ(node.cloud.events.back().detail, "too slow");
}

TEST_F(InstanceTest, AnExitRightAfterReallocateIsOneReallocation) {
  begin();
  ASSERT_TRUE(running());
  node.instance().ask(SelfAction::Reallocate, "bad GPU");
  node.driver.exit_now("instance-of-a", 1);
  node.run_for(1s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Replace);
  EXPECT_THAT(events(), ElementsAre("Instance Creating", "Instance Starting", "Instance Running",
                                    "Instance Reallocated by User"));
}

TEST_F(InstanceTest, OwnRestartAndRecreateStayOnTheNodeWithANewIdAndCostZero) {
  begin();
  ASSERT_TRUE(running());
  node.instance().set_deletion_cost(999999999);
  node.run_for(1s);
  EXPECT_EQ(node.report().deletion_cost, 999999999);
  node.instance().ask(SelfAction::Restart, {});
  node.run_for(2s);
  EXPECT_EQ(node.report().state, RunState::Running);
  EXPECT_EQ(node.report().run, 1);
  EXPECT_EQ(node.report().deletion_cost, 0);
  EXPECT_EQ(node.driver.find_spec(node.report().instance_id)->files_of, "instance-of-a");
  const std::string second = node.report().instance_id;
  node.instance().ask(SelfAction::Recreate, {});
  node.run_for(2s);
  EXPECT_NE(node.report().instance_id, second);
  EXPECT_EQ(node.driver.find_spec(node.report().instance_id)->files_of, "");
  const auto names = events();
  EXPECT_EQ(std::ranges::count(names, "Instance Restarted"), 1);
  EXPECT_EQ(std::ranges::count(names, "Instance Recreated"), 1);
}

TEST_F(InstanceTest, TheApisDeletionCostIsTakenOverOnceAndResetWithTheRun) {
  begin();
  ASSERT_TRUE(running());
  wanted().wish.deletion_cost = 7;
  wanted().wish.deletion_cost_change = 1;
  node.cloud.say();
  node.run_for(1s);
  EXPECT_EQ(node.report().deletion_cost, 7);
  EXPECT_EQ(node.report().deletion_cost_change, 1);
  node.instance().set_deletion_cost(3);  // the last writer wins
  node.cloud.say();
  node.run_for(1s);
  EXPECT_EQ(node.report().deletion_cost, 3);
  node.instance().ask(SelfAction::Restart, {});
  node.run_for(2s);
  EXPECT_EQ(node.report().deletion_cost, 0);
}

TEST_F(InstanceTest, AStopDuringTheBackOffEndsIt) {
  begin("{}", {.exit_after = 1s});
  ASSERT_TRUE(node.until([&] { return node.driver.starts() == 5 && node.driver.live().empty(); }));
  node.run_for(1s);  // in the back-off of 8 s
  wanted().wish.stop = true;
  node.cloud.say();
  node.run_for(100ms);
  EXPECT_EQ(node.report().outcome, RunOutcome::Stopped);
  EXPECT_EQ(node.driver.known(), 0u);
}

TEST_F(InstanceTest, AStopWhileItIsCreatedStartsNothing) {
  begin("{}", {.create_time = 5s});
  node.run_for(1s);
  wanted().wish.stop = true;
  node.cloud.say();
  ASSERT_TRUE(ended());
  EXPECT_EQ(node.driver.starts(), 0u);
  EXPECT_EQ(node.report().outcome, RunOutcome::Stopped);
}

TEST_F(InstanceTest, ItsLogLinesArriveAlsoTheLastOnes) {
  begin(R"({"restart_policy": "never"})",
        {.exit_after = 1ms, .output = {"hello", "bad \xff byte"}});
  ASSERT_TRUE(ended());
  ASSERT_TRUE(node.until([&] { return !node.cloud.logs.empty(); }, 2s));
  const link::LogBatch& batch = node.cloud.logs.front();
  EXPECT_EQ(batch.instance_id, "instance-of-a");
  EXPECT_EQ(batch.group_id, "group-id");
  ASSERT_EQ(batch.lines.size(), 2u);
  EXPECT_EQ(batch.lines[0].text, "hello");
  EXPECT_EQ(batch.lines[1].text, "bad \xEF\xBF\xBD byte");
}

}  // namespace
}  // namespace mesclun::agent
