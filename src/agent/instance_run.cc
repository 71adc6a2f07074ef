#include "agent/instance_run.h"

#include "agent/probe_runner.h"
#include "base/log.h"

namespace mesclun::agent {

using api::ProbeKind;

namespace {

constexpr int kCreateTries = 3;
constexpr Duration kCreateAgain = 1s;
constexpr int kStopTries = 3;
constexpr Duration kStartFailureLimit = 10s;

bool is_cancelled(const Result<>& result) {
  return !result && result.code() == ErrorCode::Cancelled;
}

}  // namespace

InstanceRun::InstanceRun(Parts parts, std::string instance_id, const api::GroupSpec& spec)
    : parts_(std::move(parts)),
      instance_id_(std::move(instance_id)),
      ipv6_first_(spec.networking.has_value()),
      health_(spec),
      metadata_(parts_.executor, parts_.clock, parts_.host, parts_.metadata_header),
      ended_(parts_.executor),
      probes_(parts_.executor, "probes"),
      waiter_(parts_.executor, "run") {}

Task<Result<>> InstanceRun::create(runtime::RunSpec spec) {
  for (int attempt = 1;; ++attempt) {
    const Result<> created = co_await parts_.driver.create(spec);
    if (created) co_return Result<>();
    if (is_cancelled(created)) co_return created.error();
    if (created.code() == ErrorCode::InvalidArgument) {
      // No machine could run it: that is a start failure of the application, not trouble of this
      // node.
      refuse_start(created.error().message);
      co_return Result<>();
    }
    if (created.code() == ErrorCode::NotFound && !spec.files_of.empty()) {
      // The machine was restarted: there is nothing to take over any more.
      spec.files_of.clear();
      continue;
    }
    const Result<> removed = co_await parts_.driver.remove(instance_id_);
    if (is_cancelled(removed)) co_return removed.error();
    if (attempt == kCreateTries) {
      refused_ = created.error().message;
      co_return Result<>();
    }
    CO_TRY_DO(co_await parts_.clock.sleep_for(attempt * kCreateAgain));
  }
}

void InstanceRun::serve_metadata() {
  Result<std::optional<Listener>> listener = parts_.driver.metadata_listener(instance_id_);
  if (!listener) {
    log_warning("agent", "no metadata service for an instance",
                {{"instance", instance_id_}, {"error", listener.error().message}});
  } else if (*listener) {
    metadata_.serve(std::move(**listener));
  }
}

Task<Result<bool>> InstanceRun::start() {
  const Result<> started = co_await parts_.driver.start(instance_id_);
  if (is_cancelled(started)) co_return started.error();
  if (!started) {
    refused_ = started.error().message;
    co_return false;
  }
  waiter_.spawn(wait_for_exit());
  waiter_.spawn(wait_for_excess());
  // The driver knows whether the program began; what wait() tells of one that did not may take a
  // moment longer.
  CO_TRY(const bool began, co_await has_begun());
  const TimePoint give_up = parts_.clock.now() + kStartFailureLimit;
  while (!began && !exit_ && refused_.empty() && parts_.clock.now() < give_up) {
    CO_TRY_DO(co_await ended_.wait_until(parts_.clock, give_up));
  }
  co_return began && !(exit_ && exit_->start_failure);
}

Task<Result<bool>> InstanceRun::has_begun() {
  const Result<std::vector<runtime::RunInfo>> runs = co_await parts_.driver.list();
  if (!runs) {
    if (runs.code() == ErrorCode::Cancelled) co_return runs.error();
    co_return true;
  }
  const auto found = std::ranges::find(*runs, instance_id_, &runtime::RunInfo::instance_id);
  if (found == runs->end()) co_return true;
  co_return found->started && !(found->exit && found->exit->start_failure);
}

void InstanceRun::refuse_start(std::string detail) {
  exit_ = runtime::RunExit{.code = -1,
                           .start_failure = true,
                           .detail = std::move(detail),
                           .time = to_unix_nanos(parts_.clock.wall_now())};
}

void InstanceRun::adopt(bool started, bool ready) {
  waiter_.spawn(wait_for_exit());
  waiter_.spawn(wait_for_excess());
  begin_probes(started, ready);
}

Task<Result<>> InstanceRun::wait_for_exit() {
  Result<runtime::RunExit> exit = co_await parts_.driver.wait(instance_id_);
  if (exit) {
    exit_ = std::move(*exit);
  } else if (exit.code() == ErrorCode::Cancelled) {
    co_return exit.error();
  } else {
    refused_ = "the run was lost: " + exit.error().message;
  }
  ended_.notify_all();
  parts_.observer.on_end_seen();
  co_return Result<>();
}

// What the driver cannot tell does not end the run.
Task<Result<>> InstanceRun::wait_for_excess() {
  CO_TRY(disk_excess_, co_await parts_.driver.disk_excess(instance_id_));
  parts_.observer.on_end_seen();
  co_return Result<>();
}

void InstanceRun::begin_probes(std::optional<bool> was_started, bool was_ready) {
  const TimePoint now = parts_.clock.now();
  if (was_started) {
    health_.resume(*was_started, was_ready, now);
  } else {
    health_.begin(now);
  }
  if (health_.started()) {
    spawn_probes();
  } else {
    probes_.spawn(probe(ProbeKind::Startup));
  }
}

void InstanceRun::spawn_probes() {
  for (ProbeKind kind : {ProbeKind::Liveness, ProbeKind::Readiness}) {
    if (health_.find(kind) != nullptr) probes_.spawn(probe(kind));
  }
}

Task<Result<>> InstanceRun::probe(ProbeKind kind) {
  const ProbeState& state = *health_.find(kind);
  while (true) {
    CO_TRY_DO(co_await parts_.clock.sleep_until(state.due()));
    const TimePoint begun = parts_.clock.now();
    CO_TRY(const ProbeOutcome outcome, co_await run_probe(parts_.driver, parts_.clock, instance_id_,
                                                          state.probe(), ipv6_first_));
    const RunHealth::Change change =
        health_.record(kind, outcome.passed, begun, parts_.clock.now());
    parts_.observer.on_probe(kind, change, outcome.detail);
    if (change.failed) {
      failed_probe_ = FailedProbe{kind, outcome.detail};
      parts_.observer.on_end_seen();
      co_return Result<>();
    }
    if (change.startup_passed) {
      spawn_probes();
      co_return Result<>();
    }
  }
}

Task<Result<>> InstanceRun::end(Duration grace) {
  co_await probes_.stop();
  Result<> stopped;
  for (int attempt = 1; attempt <= kStopTries; ++attempt) {
    stopped = co_await parts_.driver.stop(instance_id_, grace);
    if (stopped || is_cancelled(stopped) || stopped.code() == ErrorCode::NotFound) break;
    log_error("agent", "an instance could not be stopped",
              {{"instance", instance_id_}, {"error", stopped.error().message}});
    const Result<> waited = co_await parts_.clock.sleep_for(attempt * kCreateAgain);
    if (is_cancelled(waited)) stopped = waited.error();
  }
  co_await let_be();
  if (is_cancelled(stopped)) co_return stopped.error();
  co_return Result<>();
}

Task<void> InstanceRun::let_be() {
  co_await probes_.stop();
  co_await metadata_.stop();
  co_await waiter_.stop();
}

}  // namespace mesclun::agent
