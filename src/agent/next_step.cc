#include "agent/next_step.h"

#include <fmt/format.h>

#include "api/event_names.h"

namespace mesclun::agent {

using link::RunOutcome;

namespace {

std::string exit_event_name(const runtime::RunExit& exit) {
  if (exit.start_failure) return "Instance Exited:-1 (Start Failure)";
  if (exit.code == 0) return "Instance Exited:0 (Exited Successfully)";
  if (exit.code == 137) return "Instance Exited:137 (Likely Out of System Memory)";
  return fmt::format("Instance Exited:{} (Error)", exit.code);
}

NextStep end(RunOutcome outcome, bool exclude_node, std::string reason) {
  NextStep step;
  step.kind = NextStep::Kind::End;
  step.outcome = outcome;
  step.exclude_node = exclude_node;
  step.reason = std::move(reason);
  return step;
}

// Who fails on a machine in trouble may not be to blame.
NextStep end_and_blame(const RunFacts& facts, std::string reason) {
  if (!facts.machine_trouble.empty()) {
    return end(RunOutcome::Replace, false,
               fmt::format("{}; its machine is in trouble: {}", reason, facts.machine_trouble));
  }
  NextStep step = end(RunOutcome::Replace, true, std::move(reason));
  step.failed = true;
  return step;
}

NextStep run_again(bool keep_files) {
  NextStep step;
  step.kind = NextStep::Kind::RunAgain;
  step.keep_files = keep_files;
  return step;
}

NextStep with_event(NextStep step, std::string_view name, std::string detail) {
  step.events.push_back({std::string(name), std::move(detail)});
  return step;
}

// With the run its files are gone.
NextStep another_run(const RunFacts& facts) {
  const bool keep_files = facts.run_action == link::RunAction::Restart;
  NextStep step = run_again(keep_files && !facts.gone);
  if (!facts.run_by_user) return step;
  return with_event(std::move(step), keep_files ? api::event::kRestarted : api::event::kRecreated,
                    "asked for by the API");
}

NextStep self_action(const RunFacts& facts) {
  const bool keep_files = facts.action == SelfAction::Restart;
  return with_event(run_again(keep_files && !facts.gone),
                    keep_files ? api::event::kRestarted : api::event::kRecreated,
                    "asked for by the instance itself");
}

std::string describe(const runtime::RunExit& exit) {
  std::string text = exit.start_failure ? std::string("the program could not be started")
                                        : fmt::format("the program exited with {}", exit.code);
  if (!exit.detail.empty()) text += ": " + exit.detail;
  return text;
}

NextStep after_success(const RunFacts& facts, const std::string& what) {
  if (facts.policy != api::RestartPolicy::Always) return end(RunOutcome::Succeeded, false, what);
  if (facts.recent_restarts >= kRestartsInPlace) {
    return end(RunOutcome::Replace, false,
               fmt::format("{}; {} restarts within {:.0f} min, so it moves", what,
                           facts.recent_restarts, to_seconds(kQuickExitWindow) / 60));
  }
  constexpr Duration kBackOffs[kRestartsInPlace] = {0s, 1s, 2s, 4s, 8s};
  NextStep step = run_again(true);
  step.counts_as_quick = true;
  step.back_off = kBackOffs[facts.recent_restarts];
  step.reason =
      fmt::format("{}; it is started again here in {:.0f} s", what, to_seconds(step.back_off));
  return step;
}

NextStep after_exit(const RunFacts& facts) {
  const runtime::RunExit& exit = *facts.exit;
  const std::string what = describe(exit);
  NextStep step;
  if (exit.code == 0 && !exit.start_failure) {
    step = after_success(facts, what);
  } else if (facts.policy == api::RestartPolicy::Never) {
    step = end(RunOutcome::Failed, false, what);
  } else {
    step = end_and_blame(facts, what + "; it moves to another node, if there is one");
  }
  std::string detail = step.reason;
  return with_event(std::move(step), exit_event_name(exit), std::move(detail));
}

NextStep end_for_disk(const runtime::DiskExcess& excess) {
  // Elsewhere it may write less; this machine is as good as any other.
  const std::string reason = fmt::format(
      "it wrote {:.2f} GB or more, and its disk is {:.2f} GB (resources.storage_amount)",
      static_cast<double>(excess.used_bytes) / 1e9, static_cast<double>(excess.bytes_max) / 1e9);
  return with_event(end(RunOutcome::Replace, false, reason), api::event::kDiskExceeded, reason);
}

}  // namespace

// The application did nothing wrong, and the node says itself that it takes nothing meanwhile.
NextStep end_by_machine(const std::string& why) {
  const std::string reason = "this machine could not run it: " + why;
  return with_event(end(RunOutcome::Replace, false, reason), api::event::kReallocatedByPlatform,
                    reason);
}

NextStep decide_next(const RunFacts& facts, TimePoint now) {
  if (facts.stop) return end(RunOutcome::Stopped, false, "stopped by the cloud");
  const bool action_due =
      facts.action != SelfAction::None && (facts.exit || facts.gone || facts.action_due <= now);
  if (facts.action == SelfAction::Reallocate && action_due) {
    return with_event(end(RunOutcome::Replace, true,
                          "the instance asked to be reallocated: " + facts.action_reason),
                      api::event::kReallocatedByUser, facts.action_reason);
  }
  if (!facts.let_go_reason.empty()) {
    return with_event(end(RunOutcome::Replace, false, facts.let_go_reason),
                      api::event::kNodeOffline, facts.let_go_reason);
  }
  if (facts.newer_run) return another_run(facts);
  if (action_due) return self_action(facts);
  if (!facts.refused.empty()) return end_by_machine(facts.refused);
  if (facts.gone) {
    const std::string reason =
        "it was gone when the agent came back; the machine was probably restarted";
    return with_event(end(RunOutcome::Replace, false, reason), api::event::kNodeOffline, reason);
  }
  if (facts.exit) return after_exit(facts);
  if (facts.disk_excess) return end_for_disk(*facts.disk_excess);
  if (facts.failed_probe) {
    const FailedProbe& probe = *facts.failed_probe;
    const bool startup = probe.kind == api::ProbeKind::Startup;
    const std::string reason =
        fmt::format("the {} probe failed: {}", startup ? "startup" : "liveness", probe.detail);
    return with_event(end_and_blame(facts, reason),
                      startup ? api::event::kStartupFailed : api::event::kLivenessFailed,
                      probe.detail);
  }
  NextStep stay;
  if (facts.action != SelfAction::None) stay.look_again = facts.action_due;
  return stay;
}

}  // namespace mesclun::agent
