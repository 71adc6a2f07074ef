// Goal:   kill -9 of the agent between any two of its calls of store and driver changes nothing of
//         what becomes of a run: a job that succeeded does not run again, a stop is a stop, nobody
//         is blamed twice, every event is said once.
// Method: each scenario is run with a kill before its first call, before its second, and so on
//         until one goes through; then with a second kill at every call of the recovery.
#include <gmock/gmock.h>

#include "agent/agent_test_kit.h"
#include "agent/mortal_store.h"
#include "api/event_names.h"
#include "runtime/mortal_driver.h"

namespace mesclun::agent {
namespace {

using link::RunOutcome;
using link::RunState;

struct Scenario {
  std::string name;
  std::string spec = "{}";
  runtime::FakeRun first_run;  // later ones run on
  // Done once, as soon as the first run is reported as running.
  std::function<void(TestNode&)> act;
  // What must hold in the end.
  RunOutcome outcome = RunOutcome::None;
  bool exclude = false;
  size_t runs = 1;   // of the application
  std::string once;  // an event
};

constexpr Duration kScenarioLength = 12s;

class KilledAgent {
 public:
  explicit KilledAgent(const Scenario& scenario) : scenario_(scenario) {
    node_.shown_store = &store_;
    node_.shown_driver = &driver_;
    node_.driver.set_script([this](const runtime::RunSpec&, Random&) {
      return node_.driver.starts() == 0 ? scenario_.first_run : runtime::FakeRun{};
    });
    // A node without an identity does not begin.
    node_.start();
    node_.kill();
    node_.cloud.assign("a", test_spec(scenario_.spec));
  }

  // True if a kill came at that call.
  bool live(int fatal_call) {
    kill_.arm(static_cast<uint64_t>(fatal_call));
    node_.cloud.deaf = false;
    node_.start();
    for (Duration t{}; t < kScenarioLength && !kill_.dead(); t += 250ms) {
      node_.run_for(250ms);
      const bool due = !acted_ && node_.report().state == RunState::Running;
      if (!due || kill_.dead() || !scenario_.act) continue;
      scenario_.act(node_);
      acted_ = !kill_.dead();
    }
    const bool killed = kill_.dead();
    node_.kill();
    kill_.arm(0);
    return killed;
  }

  void check() {
    EXPECT_EQ(node_.report().outcome, scenario_.outcome) << node_.report().reason;
    EXPECT_EQ(node_.report().exclude_node, scenario_.exclude);
    EXPECT_EQ(node_.driver.starts(), scenario_.runs);
    const bool lives = scenario_.outcome == RunOutcome::None;
    EXPECT_EQ(node_.driver.known(), lives ? 1u : 0u);
    EXPECT_EQ(node_.driver.live().size(), lives ? 1u : 0u);
    const auto names = node_.cloud.event_names();
    if (!scenario_.once.empty()) EXPECT_EQ(std::ranges::count(names, scenario_.once), 1);
    if (scenario_.once != api::event::kNodeOffline) {
      EXPECT_EQ(std::ranges::count(names, api::event::kNodeOffline), 0);
    }
  }

 private:
  const Scenario& scenario_;
  TestNode node_;
  KillSwitch kill_{node_.loop.executor()};
  MortalStore store_{node_.store, kill_};
  runtime::MortalDriver driver_{node_.driver, kill_};
  std::shared_ptr<void> deaf_ = kill_.on_kill([this] { node_.cloud.deaf = true; });
  bool acted_ = false;
};

void kill_everywhere(const Scenario& scenario) {
  bool killed = true;
  int calls = 0;
  for (int first = 1; killed; ++first) {
    bool killed_again = true;
    for (int second = 1; killed && killed_again; ++second) {
      SCOPED_TRACE(testing::Message() << scenario.name << ": killed before call " << first
                                      << ", then before call " << second);
      KilledAgent agent(scenario);
      killed = agent.live(first);
      killed_again = killed && agent.live(second);
      if (killed_again) EXPECT_FALSE(agent.live(0));
      agent.check();
      if (testing::Test::HasFailure()) return;
    }
    calls = first;
  }
  EXPECT_GT(calls, 10);
}

TEST(KilledAgentTest, AJobThatSucceededRunsOnce) {
  kill_everywhere({.name = "job",
                   .spec = R"({"restart_policy": "on_failure"})",
                   .first_run = {.exit_after = 5s},
                   .outcome = RunOutcome::Succeeded,
                   .once = "Instance Exited:0 (Exited Successfully)"});
}

TEST(KilledAgentTest, AFailureUnderNeverIsFinal) {
  kill_everywhere({.name = "never",
                   .spec = R"({"restart_policy": "never"})",
                   .first_run = {.exit_after = 5s, .exit_code = 3},
                   .outcome = RunOutcome::Failed,
                   .once = "Instance Exited:3 (Error)"});
}

TEST(KilledAgentTest, AFailureMovesAndBlamesOnce) {
  kill_everywhere({.name = "failure",
                   .first_run = {.exit_after = 5s, .exit_code = 3},
                   .outcome = RunOutcome::Replace,
                   .exclude = true,
                   .once = "Instance Exited:3 (Error)"});
}

TEST(KilledAgentTest, AUsersStopIsAStop) {
  kill_everywhere({.name = "stop",
                   .first_run = {.stop_time = 3s},
                   .act =
                       [](TestNode& node) {
                         node.cloud.desired.assignments.at(0).wish.stop = true;
                         node.cloud.say();
                       },
                   .outcome = RunOutcome::Stopped});
}

TEST(KilledAgentTest, ExitZeroUnderAlwaysRestartsHere) {
  kill_everywhere({.name = "in place",
                   .first_run = {.exit_after = 5s},
                   .runs = 2,
                   .once = "Instance Exited:0 (Exited Successfully)"});
}

TEST(KilledAgentTest, AUsersRestartAndRecreateStayHere) {
  for (const auto action : {link::RunAction::Restart, link::RunAction::Recreate}) {
    kill_everywhere(
        {.name = std::string(enum_name(action)),
         .first_run = {.stop_time = 2s},
         .act =
             [action](TestNode& node) {
               link::ReplicaWish& wish = node.cloud.desired.assignments.at(0).wish;
               wish.run = 2;
               wish.run_action = action;
               wish.run_by_user = true;
               node.cloud.say();
             },
         .runs = 2,
         .once = std::string(action == link::RunAction::Restart ? api::event::kRestarted
                                                                : api::event::kRecreated)});
  }
}

TEST(KilledAgentTest, AnOwnReallocationIsDoneOnce) {
  kill_everywhere(
      {.name = "reallocate",
       .first_run = {.stop_time = 2s},
       .act = [](TestNode& node) { node.instance().ask(SelfAction::Reallocate, "slow"); },
       .outcome = RunOutcome::Replace,
       .exclude = true,
       .once = std::string(api::event::kReallocatedByUser)});
}

TEST(KilledAgentTest, ADrainLetsGoOnceAndBlamesNobody) {
  kill_everywhere(
      {.name = "drain",
       .first_run = {.stop_time = 2s},
       .act = [](TestNode& node) { std::ignore = node.agent->set_mode(link::NodeMode::Draining); },
       .outcome = RunOutcome::Replace,
       .once = std::string(api::event::kNodeOffline)});
}

// A full disk: the driver keeps what it knows until the decision is stored somewhere.
TEST(KilledAgentTest, AnEndThatCannotBeStoredIsKeptByTheDriver) {
  TestNode node;
  node.driver.set_script(
      [](const runtime::RunSpec&, Random&) { return runtime::FakeRun{.exit_after = 5s}; });
  node.cloud.assign("a", test_spec(R"({"restart_policy": "on_failure"})"));
  node.start();
  node.run_for(4s);
  node.store.broken = true;
  node.run_for(2s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Succeeded);
  EXPECT_EQ(node.driver.known(), 1u);
  node.kill();
  node.store.broken = false;
  node.cloud.last = {};
  node.start();
  node.run_for(2s);
  EXPECT_EQ(node.report().outcome, RunOutcome::Succeeded);
  EXPECT_EQ(node.driver.starts(), 1u);
  EXPECT_EQ(node.driver.known(), 0u);
}

TEST(KilledAgentTest, AnEndThatCannotBeStoredIsDroppedOnceTheCloudKnows) {
  TestNode node;
  node.driver.set_script(
      [](const runtime::RunSpec&, Random&) { return runtime::FakeRun{.exit_after = 5s}; });
  node.cloud.assign("a", test_spec(R"({"restart_policy": "on_failure"})"));
  node.start();
  node.run_for(4s);
  node.store.broken = true;
  node.run_for(2s);
  node.cloud.desired.assignments.clear();
  node.cloud.say();
  node.run_for(1s);
  EXPECT_EQ(node.driver.known(), 0u);
}

}  // namespace
}  // namespace mesclun::agent
