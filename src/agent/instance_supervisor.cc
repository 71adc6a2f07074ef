#include "agent/instance_supervisor.h"

#include "api/event_names.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/text.h"

namespace mesclun::agent {

using link::RunOutcome;
using link::RunState;

namespace {

constexpr size_t kDetailBytesMax = 2'000;

}  // namespace

InstanceSupervisor::InstanceSupervisor(const Parts& parts, AllocationRecord record)
    : parts_(parts),
      record_(std::move(record)),
      run_taken_(record_.status.run),
      wake_(parts.executor),
      scope_(parts.executor, "instance") {
  if (record_.status.instance_id.empty())
    record_.status.instance_id = record_.assignment.instance_id;
}

InstanceSupervisor::~InstanceSupervisor() = default;

void InstanceSupervisor::begin(std::optional<runtime::RunInfo> found) {
  if (ended()) return;
  Result<api::GroupSpec> wanted = read_spec(record_.assignment.spec);
  if (!wanted) {
    refuse(RunOutcome::Replace,
           "this agent does not understand the spec: " + wanted.error().message);
    return;
  }
  wanted_spec_ = std::move(*wanted);
  // A spec that ran before was understood before.
  spec_ = record_.spec.empty() ? wanted_spec_ : read_spec(record_.spec).value_or(wanted_spec_);
  scope_.spawn(live(std::move(found)));
}

void InstanceSupervisor::refuse(RunOutcome outcome, std::string reason) {
  NextStep step;
  step.kind = NextStep::Kind::End;
  step.outcome = outcome;
  step.reason = std::move(reason);
  record_.status.version = record_.assignment.wish.version;
  record_.status.run = record_.assignment.wish.run;
  finish(step);
}

void InstanceSupervisor::update(const link::Assignment& assignment) {
  if (ended()) return;  // the cloud has not read our report yet
  link::Assignment& current = record_.assignment;
  link::ReplicaWish wish = assignment.wish;
  // A stop is not taken back: what was told to end is ending.
  wish.stop = wish.stop || current.wish.stop;
  const bool new_spec = current.spec != assignment.spec;
  if (!new_spec && wish == current.wish) return;
  if (new_spec) {
    Result<api::GroupSpec> wanted = read_spec(assignment.spec);
    if (!wanted) {
      log_error("agent", "a new spec is not understood; the old one stays",
                {{"instance", instance_id()}, {"error", wanted.error().message}});
      current.wish.stop = wish.stop;
      wake_.notify_all();
      return;
    }
    wanted_spec_ = std::move(*wanted);
  }
  current = assignment;
  current.wish = wish;
  take_deletion_cost();
  // A new version that asks for no new run is only a label of the one that runs.
  if (wish.run <= run_taken_) record_.status.version = wish.version;
  save(Durability::ProcessCrash);
  parts_.changed();
  wake_.notify_all();
}

void InstanceSupervisor::stop() {
  if (record_.assignment.wish.stop || ended()) return;
  record_.assignment.wish.stop = true;
  save(Durability::ProcessCrash);
  wake_.notify_all();
}

void InstanceSupervisor::let_go(std::string reason) {
  if (ended() || !record_.let_go_reason.empty()) return;
  record_.let_go_reason = std::move(reason);
  // An agent that is killed during the grace must not take the end of the run for a failure of the
  // application.
  save(Durability::ProcessCrash);
  wake_.notify_all();
}

void InstanceSupervisor::serve_metadata(ConnPtr conn) {
  if (present()) run_->metadata().serve(std::move(conn));
}

void InstanceSupervisor::set_deletion_cost(int32_t cost) {
  if (record_.status.deletion_cost == cost) return;
  record_.status.deletion_cost = cost;
  save(Durability::ProcessCrash);
  parts_.changed();
}

// The last writer wins; this time it is the API.
void InstanceSupervisor::take_deletion_cost() {
  const link::ReplicaWish& wish = record_.assignment.wish;
  if (wish.deletion_cost_change <= record_.status.deletion_cost_change) return;
  record_.status.deletion_cost_change = wish.deletion_cost_change;
  record_.status.deletion_cost = wish.deletion_cost;
}

void InstanceSupervisor::ask(SelfAction action, std::string reason) {
  if (record_.action != SelfAction::None || record_.status.state == RunState::Stopping) return;
  record_.action = action;
  record_.action_reason = std::move(reason);
  action_due_ = parts_.clock.now() + parts_.settings.action_delay;
  save(Durability::ProcessCrash);
  wake_.notify_all();
}

void InstanceSupervisor::on_probe(api::ProbeKind kind, const RunHealth::Change& change,
                                  const std::string& detail) {
  if (record_.status.state != RunState::Running) return;
  if (change.startup_passed) {
    // The observed order of a good start is "ready", then "startup passed": where readiness is
    // probed in the same moment its first result is awaited.
    const ProbeState* readiness = run_->health().find(api::ProbeKind::Readiness);
    if (readiness != nullptr && readiness->probe().initial_delay_seconds == 0) {
      held_startup_event_ = detail;
    } else {
      add_event(api::event::kStartupPassed, detail);
    }
  }
  if (change.became_ready) add_event(api::event::kReady, detail);
  if (change.became_unready) add_event(api::event::kNotReady, detail);
  if (kind == api::ProbeKind::Readiness && held_startup_event_) {
    add_event(api::event::kStartupPassed, *std::exchange(held_startup_event_, std::nullopt));
  }
  show_health();
}

void InstanceSupervisor::show_health() {
  const RunHealth& health = run_->health();
  if (record_.status.started == health.started() && record_.status.ready == health.ready()) return;
  record_.status.started = health.started();
  record_.status.ready = health.ready();
  record_.status.update_time = to_unix_nanos(parts_.clock.wall_now());
  save(Durability::ProcessCrash);
  parts_.changed();
}

void InstanceSupervisor::add_event(std::string_view name, std::string_view detail) {
  link::InstanceEvent event{.group_id = group_id(),
                            .instance_id = record_.status.instance_id,
                            .version = record_.status.version,
                            .time = to_unix_nanos(parts_.clock.wall_now()),
                            .name = std::string(name)};
  event.detail = valid_utf8(detail, kDetailBytesMax);
  parts_.journal.append(std::move(event));
  parts_.changed();
}

void InstanceSupervisor::set_state(RunState state) {
  record_.status.state = state;
  record_.status.update_time = to_unix_nanos(parts_.clock.wall_now());
  save(Durability::ProcessCrash);
  parts_.changed();
}

void InstanceSupervisor::save(Durability durability) {
  saved_ = parts_.store.save_allocation(record_, durability);
  if (!saved_) {
    log_error("agent", "the state of an instance could not be stored",
              {{"instance", record_.status.instance_id}, {"error", saved_.error().message}});
  }
}

void InstanceSupervisor::finish(const NextStep& step) {
  record_.status.state = RunState::Ended;
  record_.status.update_time = to_unix_nanos(parts_.clock.wall_now());
  record_.status.started = record_.status.ready = false;
  record_.status.outcome = step.outcome;
  record_.status.exclude_node = step.exclude_node;
  record_.status.reason = valid_utf8(step.reason, kDetailBytesMax);
  record_.action = SelfAction::None;
  save(Durability::PowerLoss);
  parts_.changed();
}

Task<void> InstanceSupervisor::close() {
  co_await scope_.stop();
}

size_t InstanceSupervisor::recent_restarts() const {
  const int64_t since = to_unix_nanos(parts_.clock.wall_now() - kQuickExitWindow);
  return static_cast<size_t>(
      std::ranges::count_if(record_.quick_exits, [since](int64_t t) { return t > since; }));
}

RunFacts InstanceSupervisor::facts() const {
  RunFacts facts;
  facts.stop = record_.assignment.wish.stop;
  facts.let_go_reason = record_.let_go_reason;
  facts.action = record_.action;
  facts.action_reason = record_.action_reason;
  facts.action_due = action_due_;
  facts.newer_run = record_.assignment.wish.run > run_taken_;
  facts.run_action = record_.assignment.wish.run_action;
  facts.run_by_user = record_.assignment.wish.run_by_user;
  if (run_ != nullptr) {
    facts.exit = run_->exit();
    facts.failed_probe = run_->failed_probe();
    facts.refused = run_->refused();
  }
  facts.policy = wanted_spec_.restart_policy;
  facts.recent_restarts = recent_restarts();
  return facts;
}

}  // namespace mesclun::agent
