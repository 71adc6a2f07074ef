// The life of an allocation, run after run. What becomes of a run is decided in next_step.cc; how
// the outside sees it is in instance_supervisor.cc.
#include "agent/instance_supervisor.h"
#include "api/event_names.h"
#include "base/ids.h"
#include "base/log.h"

namespace mesclun::agent {

using link::RunOutcome;
using link::RunState;

Task<Result<>> InstanceSupervisor::live(std::optional<runtime::RunInfo> found) {
  Result<> result = co_await run_after_run(std::move(found));
  // Cancelled: the agent goes, the application stays.
  if (run_ != nullptr) {
    co_await run_->let_be();
    run_.reset();
  }
  co_return result;
}

Task<Result<>> InstanceSupervisor::run_after_run(std::optional<runtime::RunInfo> found) {
  CO_TRY_DO(co_await resume(std::move(found)));
  NextStep step;
  step.keep_files = !record_.files_of.empty();
  while (!ended()) {
    if (run_ == nullptr) CO_TRY_DO(co_await begin_run(step.keep_files));
    CO_TRY(step, co_await next_step());
    take(step);
    const bool again = step.kind == NextStep::Kind::RunAgain;
    CO_TRY_DO(co_await end_run(again && step.keep_files));
    if (again) {
      CO_TRY(step, co_await pause(std::move(step)));
    }
    if (step.kind == NextStep::Kind::End) finish(step);
  }
  co_return Result<>();
}

// After a restart of the agent: finds out what became of the run that it had.
Task<Result<>> InstanceSupervisor::resume(std::optional<runtime::RunInfo> found) {
  if (record_.status.run == 0) co_return Result<>();
  const bool between_runs =
      record_.status.state == RunState::Creating && record_.status.instance_id == record_.files_of;
  if (between_runs) co_return Result<>();
  if (found && found->started) {
    make_run_object();
    if (!found->exit) run_->serve_metadata();
    if (!found->exit && record_.status.state != RunState::Running) {
      const bool unsaid = record_.status.state == RunState::Creating;
      set_state(RunState::Running);
      if (unsaid) add_event(api::event::kRunning, {});
    }
    run_->adopt(record_.status.started, record_.status.ready);
    show_health();
    log_info("agent", "an instance was adopted",
             {{"instance", record_.status.instance_id}, {"ended", found->exit ? "yes" : "no"}});
    co_return Result<>();
  }
  if (record_.status.state == RunState::Creating) {
    // Killed between two runs or before the start: that run never began, the next one does.
    co_return co_await drop_run(record_.status.instance_id);
  }
  NextStep lost;
  lost.kind = NextStep::Kind::End;
  lost.outcome = RunOutcome::Replace;
  lost.reason = "it was gone when the agent came back; the machine was probably restarted";
  add_event(api::event::kNodeOffline, lost.reason);
  finish(lost);
  co_return Result<>();
}

void InstanceSupervisor::make_run_object() {
  InstanceRun::Parts parts{.executor = parts_.executor,
                           .clock = parts_.clock,
                           .driver = parts_.driver,
                           .host = *this,
                           .observer = *this,
                           .metadata_header = parts_.settings.metadata_header};
  run_ = std::make_unique<InstanceRun>(std::move(parts), record_.status.instance_id, spec_);
  LogSource source{.instance_id = record_.status.instance_id,
                   .group_id = group_id(),
                   .version = record_.status.version};
  parts_.logs.add(std::move(source));
}

Task<Result<>> InstanceSupervisor::begin_run(bool keep_files) {
  // The first run has the id that the cloud gave; each later start has its own. One that the driver
  // may have heard of is never used again.
  if (record_.status.run != 0) record_.status.instance_id = new_uuid(parts_.random);
  const link::Assignment& wanted = record_.assignment;
  spec_ = wanted_spec_;
  record_.spec = wanted.spec;
  record_.status.run = run_taken_ = wanted.wish.run;
  record_.status.version = wanted.wish.version;
  record_.status.state = RunState::Creating;
  record_.status.started = record_.status.ready = false;
  record_.status.deletion_cost = 0;
  take_deletion_cost();
  record_.status.update_time = to_unix_nanos(parts_.clock.wall_now());
  held_startup_event_.reset();
  save(Durability::PowerLoss);
  parts_.changed();
  make_run_object();

  if (!keep_files) {
    // Said honestly: nothing is fetched, so there is no "Instance Downloading" either.
    const bool process = parts_.driver.facts().runtime == "process";
    add_event(api::event::kCreating,
              process ? fmt::format("the process runtime names the image {} but does not pull it; "
                                    "the command runs with the files of this machine",
                                    spec_.container.image)
                      : "image " + spec_.container.image);
  }
  if (!saved_) {
    // A run that a restarted agent could not find again must not begin.
    run_->refuse_run("its state cannot be stored: " + saved_.error().message);
    co_return Result<>();
  }
  if (spec_.container.command.empty() && parts_.driver.facts().runtime == "process") {
    add_event(api::event::kStarting, {});
    run_->refuse_start(
        "the group sets no command, and the process runtime has no image to take an entrypoint "
        "from");
    co_return Result<>();
  }
  runtime::RunSpec spec = make_run(wanted, spec_, parts_.node, record_.status.instance_id,
                                   keep_files ? record_.files_of : std::string());
  CO_TRY_DO(co_await run_->create(std::move(spec)));
  if (!record_.files_of.empty()) {
    const std::string old = std::exchange(record_.files_of, {});
    CO_TRY_DO(co_await drop_run(old));
  }
  co_return co_await start_run();
}

Task<Result<>> InstanceSupervisor::start_run() {
  // Told to stop in the meantime: there is nothing to start.
  if (run_->exit() || !run_->refused().empty() || record_.assignment.wish.stop)
    co_return Result<>();
  run_->serve_metadata();
  add_event(api::event::kStarting, {});
  CO_TRY(const bool running, co_await run_->start());
  if (running) on_running();
  co_return Result<>();
}

void InstanceSupervisor::on_running() {
  set_state(RunState::Running);
  add_event(api::event::kRunning, {});
  run_->begin_probes();
  show_health();
}

Task<Result<NextStep>> InstanceSupervisor::next_step() {
  while (true) {
    NextStep step = decide_next(facts(), parts_.clock.now());
    if (step.kind != NextStep::Kind::Stay) co_return step;
    CO_TRY_DO(co_await wake_.wait_until(parts_.clock, step.look_again.value_or(TimePoint::max())));
  }
}

// What a decision means at once, before it is carried out.
void InstanceSupervisor::take(const NextStep& step) {
  if (held_startup_event_) {
    add_event(api::event::kStartupPassed, *std::exchange(held_startup_event_, std::nullopt));
  }
  for (const EventText& text : step.events) add_event(text.name, text.detail);
  run_taken_ = record_.assignment.wish.run;
  if (step.counts_as_quick) {
    const int64_t now = to_unix_nanos(parts_.clock.wall_now());
    if (record_.quick_exits.size() > kRestartsInPlace) {
      record_.quick_exits.erase(record_.quick_exits.begin());
    }
    record_.quick_exits.push_back(now);
  }
}

Task<Result<>> InstanceSupervisor::end_run(bool keep_files) {
  record_.status.ready = false;
  set_state(RunState::Stopping);
  CO_TRY_DO(co_await run_->end(parts_.settings.stop_grace));
  CO_TRY_DO(co_await parts_.logs.finish(record_.status.instance_id));
  run_.reset();
  if (keep_files) {
    record_.files_of = record_.status.instance_id;
    co_return Result<>();
  }
  co_return co_await drop_run(record_.status.instance_id);
}

// Makes the driver forget a run. What it refuses is said and left: the run is over for us.
// Cancelled is the only error.
Task<Result<>> InstanceSupervisor::drop_run(std::string instance_id) {
  Result<> dropped = co_await parts_.driver.stop(instance_id, Duration::zero());
  if (dropped) dropped = co_await parts_.driver.remove(instance_id);
  if (dropped || dropped.code() == ErrorCode::NotFound) co_return Result<>();
  if (dropped.code() == ErrorCode::Cancelled) co_return dropped;
  log_warning("agent", "a run could not be removed",
              {{"instance", instance_id}, {"error", dropped.error().message}});
  co_return Result<>();
}

// Between two runs: waits for the back-off, and lets a newer wish come first.
Task<Result<NextStep>> InstanceSupervisor::pause(NextStep step) {
  const TimePoint until = parts_.clock.now() + step.back_off;
  record_.action = SelfAction::None;
  record_.action_reason.clear();
  record_.status.started = false;
  set_state(RunState::Creating);
  while (true) {
    NextStep sooner = decide_next(facts(), parts_.clock.now());
    if (sooner.kind != NextStep::Kind::Stay) {
      take(sooner);
      // Files that the earlier step kept are of no use to this one.
      const bool drop = !sooner.keep_files || sooner.kind == NextStep::Kind::End;
      if (drop && !record_.files_of.empty()) {
        const std::string old = std::exchange(record_.files_of, {});
        CO_TRY_DO(co_await drop_run(old));
      }
      co_return sooner;
    }
    if (parts_.clock.now() >= until) co_return step;
    CO_TRY_DO(co_await wake_.wait_until(parts_.clock, until));
  }
}

}  // namespace mesclun::agent
