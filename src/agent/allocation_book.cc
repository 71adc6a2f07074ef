#include "agent/allocation_book.h"

#include "base/log.h"
#include "base/text.h"

namespace mesclun::agent {

using link::RunState;

namespace {

constexpr size_t kDetailBytesMax = 2'000;

}  // namespace

AllocationBook::AllocationBook(const Parts& parts, AllocationRecord record)
    : parts_(parts), record_(std::move(record)), run_taken_(record_.status.run) {
  if (record_.status.instance_id.empty())
    record_.status.instance_id = record_.assignment.instance_id;
  if (record_.decision) run_taken_ = record_.decision->run_taken;
}

// ---- what it is told ----

void AllocationBook::assign(Assignment assignment) {
  record_.assignment = std::move(assignment);
  take_deletion_cost();
  save(Durability::ProcessCrash);
  parts_.changed();
}

void AllocationBook::carry() {
  record_.spec = record_.assignment.spec;
  record_.status.version = wish().version;
  save(Durability::ProcessCrash);
  parts_.changed();
}

void AllocationBook::stop() {
  record_.assignment.wish.stop = true;
  save(Durability::ProcessCrash);
}

void AllocationBook::let_go(std::string reason) {
  record_.let_go_reason = std::move(reason);
  // An agent that is killed during the grace must not take the end of the run for a failure of the
  // application.
  save(Durability::ProcessCrash);
}

void AllocationBook::ask(SelfAction action, std::string reason) {
  record_.action = action;
  record_.action_reason = std::move(reason);
  save(Durability::ProcessCrash);
}

void AllocationBook::set_deletion_cost(int32_t cost) {
  if (record_.status.deletion_cost == cost) return;
  record_.status.deletion_cost = cost;
  save(Durability::ProcessCrash);
  parts_.changed();
}

// The last writer wins; this time it is the API.
void AllocationBook::take_deletion_cost() {
  if (wish().deletion_cost_change <= record_.status.deletion_cost_change) return;
  record_.status.deletion_cost_change = wish().deletion_cost_change;
  record_.status.deletion_cost = wish().deletion_cost;
}

// ---- what becomes of it ----

void AllocationBook::begin_run(std::string instance_id) {
  take_wish();
  record_.decision.reset();
  record_.spec = record_.assignment.spec;
  record_.status.instance_id = std::move(instance_id);
  record_.status.run = wish().run;
  record_.status.version = wish().version;
  record_.status.state = RunState::Creating;
  record_.status.started = record_.status.ready = false;
  record_.status.pulled_percent.reset();
  record_.status.deletion_cost = 0;
  take_deletion_cost();
  record_.status.update_time = to_unix_nanos(parts_.clock.wall_now());
  save(Durability::PowerLoss);
  parts_.changed();
}

void AllocationBook::show_pulling(std::optional<int32_t> percent) {
  if (status().pulled_percent == percent) return;
  record_.status.pulled_percent = percent;
  record_.status.update_time = to_unix_nanos(parts_.clock.wall_now());
  parts_.changed();
}

void AllocationBook::show_running() {
  set_state(RunState::Running);
}

void AllocationBook::show_health(bool started, bool ready) {
  if (status().started == started && status().ready == ready) return;
  record_.status.started = started;
  record_.status.ready = ready;
  set_state(status().state);
}

void AllocationBook::decide(const NextStep& step, bool ends_run) {
  take_wish();
  record_.decision = Decision{.again = step.kind == NextStep::Kind::RunAgain,
                              .keep_files = step.keep_files,
                              .back_off_ms = to_millis(step.back_off),
                              .outcome = step.outcome,
                              .exclude_node = step.exclude_node,
                              .failed = step.failed,
                              .reason = step.reason,
                              .events = step.events,
                              .first_event = parts_.journal.last_sequence() + 1,
                              .run_taken = run_taken_};
  if (step.counts_as_quick) count_quick_exit();
  if (ends_run) {
    record_.status.state = RunState::Stopping;
    record_.status.ready = false;
    record_.status.update_time = to_unix_nanos(parts_.clock.wall_now());
  }
  save(step.kind == NextStep::Kind::End ? Durability::PowerLoss : Durability::ProcessCrash);
  say_decided();
  parts_.changed();
}

std::optional<NextStep> AllocationBook::decided() const {
  if (!record_.decision || ended()) return std::nullopt;
  const Decision& decision = *record_.decision;
  NextStep step;
  step.kind = decision.again ? NextStep::Kind::RunAgain : NextStep::Kind::End;
  step.keep_files = decision.keep_files;
  step.back_off = std::chrono::milliseconds(decision.back_off_ms);
  step.outcome = decision.outcome;
  step.exclude_node = decision.exclude_node;
  step.failed = decision.failed;
  step.reason = decision.reason;
  return step;
}

void AllocationBook::say_decided() {
  if (!record_.decision) return;
  // A killed agent said the first few of them, or all.
  int64_t sequence = record_.decision->first_event;
  for (const EventText& event : record_.decision->events) {
    if (sequence++ > parts_.journal.last_loaded()) add_event(event.name, event.detail);
  }
}

void AllocationBook::keep_files_of_unbegun_run() {
  keep_files();
  save(Durability::ProcessCrash);
}

void AllocationBook::show_between_runs() {
  record_.decision.reset();
  record_.action = SelfAction::None;
  record_.action_reason.clear();
  record_.status.started = false;
  set_state(RunState::Creating);
}

void AllocationBook::count_quick_exit() {
  if (record_.quick_exits.size() > kRestartsInPlace) {
    record_.quick_exits.erase(record_.quick_exits.begin());
  }
  record_.quick_exits.push_back(to_unix_nanos(parts_.clock.wall_now()));
}

size_t AllocationBook::quick_exits() const {
  const int64_t since = to_unix_nanos(parts_.clock.wall_now() - kQuickExitWindow);
  return static_cast<size_t>(
      std::ranges::count_if(record_.quick_exits, [since](int64_t t) { return t > since; }));
}

void AllocationBook::end(const NextStep& step) {
  record_.status.state = RunState::Ended;
  record_.status.update_time = to_unix_nanos(parts_.clock.wall_now());
  record_.status.started = record_.status.ready = false;
  record_.status.pulled_percent.reset();
  record_.status.outcome = step.outcome;
  record_.status.exclude_node = step.exclude_node;
  record_.status.failed = step.failed;
  record_.status.reason = valid_utf8(step.reason, kDetailBytesMax);
  record_.action = SelfAction::None;
  record_.decision.reset();
  save(Durability::PowerLoss);
  parts_.changed();
}

void AllocationBook::refuse(const NextStep& step) {
  record_.status.version = wish().version;
  record_.status.run = wish().run;
  end(step);
}

void AllocationBook::add_event(std::string_view name, std::string_view detail) {
  link::InstanceEvent event{.group_id = assignment().group.group_id,
                            .instance_id = status().instance_id,
                            .version = status().version,
                            .time = to_unix_nanos(parts_.clock.wall_now()),
                            .name = std::string(name)};
  event.detail = valid_utf8(detail, kDetailBytesMax);
  parts_.journal.append(std::move(event));
  parts_.changed();
}

void AllocationBook::set_state(RunState state) {
  record_.status.state = state;
  record_.status.update_time = to_unix_nanos(parts_.clock.wall_now());
  save(Durability::ProcessCrash);
  parts_.changed();
}

void AllocationBook::save(Durability durability) {
  saved_ = parts_.store.save_allocation(record_, durability);
  if (!saved_) {
    log_error("agent", "the state of an instance could not be stored",
              {{"instance", status().instance_id}, {"error", saved_.error().message}});
  }
}

}  // namespace mesclun::agent
