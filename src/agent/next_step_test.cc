#include "agent/next_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mesclun::agent {
namespace {

using api::RestartPolicy;
using link::RunOutcome;
using Kind = NextStep::Kind;

const TimePoint kNow{1h};

RunFacts exited(RestartPolicy policy, int32_t code, bool start_failure = false) {
  RunFacts facts;
  facts.policy = policy;
  facts.exit = runtime::RunExit{.code = code, .start_failure = start_failure};
  return facts;
}

struct ExitRow {
  RestartPolicy policy;
  int32_t code;
  Kind kind;
  RunOutcome outcome;
  bool exclude;
  std::string event;
};

// lifecycle.md §5, row by row.
TEST(NextStep, ExitsFollowTheRestartPolicy) {
  using enum RestartPolicy;
  const ExitRow rows[] = {
      {Always, 0, Kind::RunAgain, RunOutcome::None, false,
       "Instance Exited:0 (Exited Successfully)"},
      {Always, 1, Kind::End, RunOutcome::Replace, true, "Instance Exited:1 (Error)"},
      {Always, 137, Kind::End, RunOutcome::Replace, true,
       "Instance Exited:137 (Likely Out of System Memory)"},
      {OnFailure, 0, Kind::End, RunOutcome::Succeeded, false,
       "Instance Exited:0 (Exited Successfully)"},
      {OnFailure, 3, Kind::End, RunOutcome::Replace, true, "Instance Exited:3 (Error)"},
      {Never, 0, Kind::End, RunOutcome::Succeeded, false,
       "Instance Exited:0 (Exited Successfully)"},
      {Never, 3, Kind::End, RunOutcome::Failed, false, "Instance Exited:3 (Error)"},
  };
  for (const ExitRow& row : rows) {
    const NextStep step = decide_next(exited(row.policy, row.code), kNow);
    SCOPED_TRACE(row.event);
    EXPECT_EQ(step.kind, row.kind);
    EXPECT_EQ(step.outcome, row.outcome);
    EXPECT_EQ(step.exclude_node, row.exclude);
    ASSERT_EQ(step.events.size(), 1u);
    EXPECT_EQ(step.events[0].name, row.event);
    EXPECT_FALSE(step.events[0].detail.empty());
  }
}

TEST(NextStep, WhoFillsItsDiskMovesWithoutBlameWhateverThePolicy) {
  for (const auto policy :
       {RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never}) {
    RunFacts facts;
    facts.policy = policy;
    facts.disk_excess = {.used_bytes = 2'500'000'000, .bytes_max = 2'000'000'000};
    const NextStep step = decide_next(facts, kNow);
    EXPECT_EQ(step.kind, Kind::End);
    EXPECT_EQ(step.outcome, RunOutcome::Replace);
    EXPECT_FALSE(step.exclude_node);
    ASSERT_EQ(step.events.size(), 1u);
    EXPECT_EQ(step.events[0].name, "Instance Interrupted (Requested Disk Space Exceeded)");
    EXPECT_THAT(step.reason, testing::HasSubstr("2.50 GB"));
    EXPECT_THAT(step.reason, testing::HasSubstr("2.00 GB"));
    facts.exit = runtime::RunExit{.code = 0};
    EXPECT_NE(decide_next(facts, kNow).events[0].name, step.events[0].name) << "it was done before";
  }
}

TEST(NextStep, AStartFailureMovesUnlessThePolicyIsNever) {
  for (const auto policy : {RestartPolicy::Always, RestartPolicy::OnFailure}) {
    const NextStep step = decide_next(exited(policy, -1, true), kNow);
    EXPECT_EQ(step.outcome, RunOutcome::Replace);
    EXPECT_TRUE(step.exclude_node);
    EXPECT_EQ(step.events.at(0).name, "Instance Exited:-1 (Start Failure)");
  }
  const NextStep done = decide_next(exited(RestartPolicy::Never, -1, true), kNow);
  EXPECT_EQ(done.outcome, RunOutcome::Failed);
}

TEST(NextStep, FiveRestartsInPlaceBackOffAndTheNextExitMoves) {
  RunFacts facts = exited(RestartPolicy::Always, 0);
  const Duration back_offs[] = {0s, 1s, 2s, 4s, 8s};
  for (size_t n = 0; n < 5; ++n) {
    facts.recent_restarts = n;
    const NextStep step = decide_next(facts, kNow);
    EXPECT_EQ(step.kind, Kind::RunAgain);
    EXPECT_TRUE(step.keep_files);
    EXPECT_TRUE(step.counts_as_quick);
    EXPECT_EQ(step.back_off, back_offs[n]);
  }
  facts.recent_restarts = 5;
  const NextStep step = decide_next(facts, kNow);
  EXPECT_EQ(step.outcome, RunOutcome::Replace);
  EXPECT_FALSE(step.exclude_node);
}

TEST(NextStep, FailedProbesMoveAndExclude) {
  RunFacts facts;
  facts.failed_probe = FailedProbe{api::ProbeKind::Liveness, "HTTP 500"};
  NextStep step = decide_next(facts, kNow);
  EXPECT_EQ(step.outcome, RunOutcome::Replace);
  EXPECT_TRUE(step.exclude_node);
  EXPECT_EQ(step.events.at(0),
            (EventText{"Instance Interrupted (Liveness Probe Failure)", "HTTP 500"}));
  facts.failed_probe->kind = api::ProbeKind::Startup;
  step = decide_next(facts, kNow);
  EXPECT_EQ(step.events.at(0).name, "Instance Interrupted (Startup Probe Failure)");
}

TEST(NextStep, AnActionWaitsUntilItIsDueUnlessTheRunExits) {
  RunFacts facts;
  facts.action = SelfAction::Reallocate;
  facts.action_reason = "too slow";
  facts.action_due = kNow + 500ms;
  NextStep step = decide_next(facts, kNow);
  EXPECT_EQ(step.kind, Kind::Stay);
  EXPECT_EQ(step.look_again, kNow + 500ms);

  facts.exit = runtime::RunExit{.code = 1};
  step = decide_next(facts, kNow);
  EXPECT_EQ(step.outcome, RunOutcome::Replace);
  EXPECT_TRUE(step.exclude_node);
  // One reallocation, not a failure and a reallocation.
  ASSERT_EQ(step.events.size(), 1u);
  EXPECT_EQ(step.events[0], (EventText{"Instance Reallocated by User", "too slow"}));
}

TEST(NextStep, SelfActionsKeepOrDropTheFiles) {
  RunFacts facts;
  facts.action = SelfAction::Restart;
  NextStep step = decide_next(facts, kNow);
  EXPECT_EQ(step.kind, Kind::RunAgain);
  EXPECT_TRUE(step.keep_files);
  EXPECT_EQ(step.events.at(0).name, "Instance Restarted");
  facts.action = SelfAction::Recreate;
  step = decide_next(facts, kNow);
  EXPECT_FALSE(step.keep_files);
  EXPECT_EQ(step.events.at(0).name, "Instance Recreated");
}

TEST(NextStep, ANewerRunHasAnEventOnlyIfAUserAskedForIt) {
  RunFacts facts;
  facts.newer_run = true;
  facts.run_action = link::RunAction::Restart;
  EXPECT_TRUE(decide_next(facts, kNow).events.empty());
  facts.run_by_user = true;
  const NextStep step = decide_next(facts, kNow);
  EXPECT_TRUE(step.keep_files);
  EXPECT_EQ(step.events.at(0).name, "Instance Restarted");
}

TEST(NextStep, TheCloudsStopComesBeforeEverything) {
  RunFacts facts = exited(RestartPolicy::Always, 1);
  facts.stop = true;
  facts.newer_run = true;
  facts.let_go_reason = "drained";
  facts.action = SelfAction::Reallocate;
  const NextStep step = decide_next(facts, kNow);
  EXPECT_EQ(step.outcome, RunOutcome::Stopped);
  EXPECT_FALSE(step.exclude_node);
  EXPECT_TRUE(step.events.empty());
}

TEST(NextStep, AMachineThatCannotOrMayNotRunItIsLeft) {
  RunFacts facts;
  facts.refused = "no space left";
  NextStep step = decide_next(facts, kNow);
  EXPECT_EQ(step.outcome, RunOutcome::Replace);
  EXPECT_FALSE(step.exclude_node);
  EXPECT_EQ(step.events.at(0).name, "Instance Reallocated by Platform");

  RunFacts drained;
  drained.let_go_reason = "the owner drains it";
  step = decide_next(drained, kNow);
  EXPECT_EQ(step.outcome, RunOutcome::Replace);
  EXPECT_FALSE(step.exclude_node);
  EXPECT_EQ(step.events.at(0).name, "Instance Interrupted (Node Offline)");
}

}  // namespace
}  // namespace mesclun::agent
