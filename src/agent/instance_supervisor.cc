#include "agent/instance_supervisor.h"

#include "agent/image_fetch.h"
#include "api/event_names.h"
#include "base/ids.h"
#include "base/log.h"

namespace mesclun::agent {

using link::RunOutcome;
using link::RunState;

namespace {

constexpr Duration kStoreAgain = 5s;

}  // namespace

InstanceSupervisor::InstanceSupervisor(const Parts& parts, AllocationRecord record)
    : parts_(parts),
      book_({.clock = parts.clock,
             .store = parts.store,
             .journal = parts.journal,
             .changed = parts.changed},
            std::move(record)),
      wake_(parts.executor),
      scope_(parts.executor, "instance") {}

InstanceSupervisor::~InstanceSupervisor() = default;

void InstanceSupervisor::begin(std::optional<runtime::RunInfo> found) {
  if (ended()) return;
  Result<api::GroupSpec> wanted = read_spec(book_.assignment().spec);
  if (!wanted) {
    refuse(RunOutcome::Replace,
           "this agent does not understand the spec: " + wanted.error().message);
    return;
  }
  wanted_spec_ = std::move(*wanted);
  // A spec that ran before was understood before.
  const json::object& ran = record().spec;
  spec_ = ran.empty() ? wanted_spec_ : read_spec(ran).value_or(wanted_spec_);
  scope_.spawn(live(std::move(found)));
}

void InstanceSupervisor::refuse(RunOutcome outcome, std::string reason) {
  NextStep step;
  step.kind = NextStep::Kind::End;
  step.outcome = outcome;
  step.reason = std::move(reason);
  book_.refuse(step);
}

void InstanceSupervisor::update(const Assignment& assignment) {
  if (ended()) return;  // the cloud has not read our report yet
  link::ReplicaWish wish = assignment.wish;
  // A stop is not taken back: what was told to end is ending.
  wish.stop = wish.stop || book_.wish().stop;
  const bool new_spec = wish.version != book_.wish().version;
  if (!new_spec && wish == book_.wish()) return;
  if (new_spec) {
    Result<api::GroupSpec> wanted = read_spec(assignment.spec);
    if (!wanted) {
      log_error("agent", "a new spec is not understood; the old one stays",
                {{"instance", instance_id()}, {"error", wanted.error().message}});
      if (wish.stop) stop();
      return;
    }
    wanted_spec_ = std::move(*wanted);
  }
  Assignment told = assignment;
  told.wish = wish;
  book_.assign(std::move(told));
  wake_.notify_all();
}

void InstanceSupervisor::stop() {
  if (book_.wish().stop || ended()) return;
  book_.stop();
  wake_.notify_all();
}

void InstanceSupervisor::let_go(std::string reason) {
  if (ended() || !record().let_go_reason.empty()) return;
  book_.let_go(std::move(reason));
  wake_.notify_all();
}

void InstanceSupervisor::serve_metadata(ConnPtr conn) {
  if (present()) run_->metadata().serve(std::move(conn));
}

Task<void> InstanceSupervisor::close() {
  co_await scope_.stop();
}

void InstanceSupervisor::ask(SelfAction action, std::string reason) {
  if (record().action != SelfAction::None || book_.status().state == RunState::Stopping) return;
  action_due_ = parts_.clock.now() + parts_.settings.action_delay;
  book_.ask(action, std::move(reason));
  wake_.notify_all();
}

void InstanceSupervisor::on_probe(api::ProbeKind kind, const RunHealth::Change& change,
                                  const std::string& detail) {
  if (book_.status().state != RunState::Running) return;
  if (change.startup_passed) {
    // The observed order of a good start is "ready", then "startup passed": where readiness is
    // probed in the same moment its first result is awaited.
    const ProbeState* readiness = run_->health().find(api::ProbeKind::Readiness);
    if (readiness != nullptr && readiness->probe().initial_delay_seconds == 0) {
      held_startup_event_ = detail;
    } else {
      book_.add_event(api::event::kStartupPassed, detail);
    }
  }
  if (change.became_ready) book_.add_event(api::event::kReady, detail);
  if (change.became_unready) book_.add_event(api::event::kNotReady, detail);
  if (change.was_never_ready) {
    book_.add_event(api::event::kNotReady, "it has not passed since the start: " + detail);
  }
  if (kind == api::ProbeKind::Readiness) say_held_startup();
  show_health();
}

void InstanceSupervisor::say_held_startup() {
  if (!held_startup_event_) return;
  book_.add_event(api::event::kStartupPassed, *std::exchange(held_startup_event_, std::nullopt));
}

void InstanceSupervisor::show_health() {
  book_.show_health(run_->health().started(), run_->health().ready());
}

// ---- the life of an allocation, run after run; what becomes of a run next_step.cc decides ----

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
  bool keep_files = !record().files_of.empty();
  while (!ended()) {
    if (run_ == nullptr) CO_TRY_DO(co_await begin_run(keep_files));
    CO_TRY(NextStep step, co_await next_step());
    blame_machine();
    decide(step);
    if (!book_.saved() && step.kind == NextStep::Kind::RunAgain) {
      // A run that a restarted agent could not find again must not begin.
      step = end_by_machine("its state cannot be stored: " + book_.saved().error().message);
      decide(step);
    }
    CO_TRY(step, co_await carry_out(std::move(step)));
    keep_files = step.keep_files;
  }
  co_return co_await drop_when_stored();
}

// Before the end is said, so that nothing is placed here in its place.
void InstanceSupervisor::blame_machine() {
  const bool refused = run_ != nullptr && !run_->refused().empty() && cannot_run(spec_).empty();
  if (refused) parts_.blame_machine(run_->refused());
}

// After a restart of the agent: finds out what became of the run that it had.
Task<Result<>> InstanceSupervisor::resume(std::optional<runtime::RunInfo> found) {
  if (book_.status().run == 0) co_return Result<>();
  const bool creating = book_.status().state == RunState::Creating;
  std::optional<NextStep> decided = book_.decided();
  if (decided && !(creating && decided->kind == NextStep::Kind::RunAgain)) {
    co_return co_await resume_decided(*std::move(decided), std::move(found));
  }
  const bool between_runs = creating && (decided || instance_id() == record().files_of);
  if (between_runs) {
    if (decided && !decided->keep_files) co_return co_await drop_kept_files();
    co_return Result<>();
  }
  if (found && found->started) {
    make_run_object();
    if (!found->exit) run_->serve_metadata();
    if (!found->exit && book_.status().state != RunState::Running) {
      book_.show_running();
      if (creating) book_.add_event(api::event::kRunning, {});
    }
    run_->adopt(book_.status().started, book_.status().ready);
    show_health();
    log_info("agent", "an instance was adopted",
             {{"instance", instance_id()}, {"ended", found->exit ? "yes" : "no"}});
    co_return Result<>();
  }
  if (creating) co_return co_await resume_unbegun(found.has_value());
  RunFacts known = facts();
  known.gone = true;
  known.action_due = TimePoint{};
  NextStep step = decide_next(known, parts_.clock.now());
  decide(step);
  co_return co_await resume_decided(std::move(step), std::nullopt);
}

Task<Result<>> InstanceSupervisor::resume_decided(NextStep step,
                                                  std::optional<runtime::RunInfo> found) {
  if (found) make_run_object();
  if (found && found->started && !found->exit) run_->serve_metadata();
  step.keep_files = step.keep_files && found;
  CO_TRY(step, co_await carry_out(std::move(step)));
  co_return Result<>();
}

// Killed before the start: that run never began, the next one does, with its files. They may be
// those of an earlier run, which it took over.
Task<Result<>> InstanceSupervisor::resume_unbegun(bool made) {
  if (!made) co_return Result<>();
  const Result<> stopped = co_await parts_.driver.stop(instance_id(), Duration::zero());
  if (!stopped) co_return co_await drop_run(instance_id());
  CO_TRY_DO(co_await drop_kept_files());
  book_.keep_files_of_unbegun_run();
  co_return Result<>();
}

void InstanceSupervisor::make_run_object() {
  InstanceRun::Parts parts{.executor = parts_.executor,
                           .clock = parts_.clock,
                           .driver = parts_.driver,
                           .host = *this,
                           .observer = *this,
                           .metadata_header = parts_.settings.metadata_header};
  run_ = std::make_unique<InstanceRun>(std::move(parts), instance_id(), spec_);
  LogSource source{
      .instance_id = instance_id(), .group_id = group_id(), .version = book_.status().version};
  parts_.logs.add(std::move(source));
}

Task<Result<>> InstanceSupervisor::begin_run(bool keep_files) {
  // The first run has the id that the cloud gave; each later start has its own. One that the driver
  // may have heard of is never used again.
  book_.begin_run(book_.status().run == 0 ? instance_id() : new_uuid(parts_.random));
  spec_ = wanted_spec_;
  limits_refused_ = false;
  held_startup_event_.reset();
  make_run_object();

  if (!book_.saved()) {
    // A run that a restarted agent could not find again must not begin.
    run_->refuse_run("its state cannot be stored: " + book_.saved().error().message);
    co_return Result<>();
  }
  if (const std::string cannot = cannot_run(spec_); !cannot.empty()) {
    log_warning("agent", cannot, {{"group", book_.assignment().group.group_name}});
    run_->refuse_run(cannot);
    co_return Result<>();
  }
  if (!keep_files) {
    CO_TRY(const bool there, co_await fetch_image());
    if (!there) co_return Result<>();
    // Said honestly: nothing is fetched, so there is no "Instance Downloading" either.
    const bool process = parts_.driver.facts().runtime == "process";
    book_.add_event(
        api::event::kCreating,
        process ? fmt::format("the process runtime names the image {} but does not pull it; "
                              "the command runs with the files of this machine",
                              spec_.container.image)
                : "image " + spec_.container.image);
  }
  if (spec_.container.command.empty() && parts_.driver.facts().runtime == "process") {
    book_.add_event(api::event::kStarting, {});
    run_->refuse_start(
        "the group sets no command, and the process runtime has no image to take an entrypoint "
        "from");
    co_return Result<>();
  }
  runtime::RunSpec spec = make_run(book_.assignment(), spec_, parts_.node, instance_id(),
                                   keep_files ? record().files_of : std::string());
  CO_TRY_DO(co_await run_->create(std::move(spec)));
  CO_TRY_DO(co_await drop_kept_files());
  co_return co_await start_run();
}

Task<Result<bool>> InstanceSupervisor::fetch_image() {
  const std::string& image = spec_.container.image;
  ImageFetch fetch{
      .driver = parts_.driver,
      .clock = parts_.clock,
      .rights = parts_.pulls,
      .private_images = parts_.private_images,
      .save_private_images = parts_.save_node,
      .spec = {group_id(), book_.wish().version},
      .organization_id = book_.assignment().group.organization_id,
      .is_unwanted = [this] { return book_.wish().stop || !record().let_go_reason.empty(); },
      .wake = wake_,
      .show = [this](std::optional<int32_t> percent) { show_pulling(percent); }};
  CO_TRY(const Fetched fetched, co_await agent::fetch_image(std::move(fetch), image));
  if (fetched.end == Fetched::End::NoMachine) run_->refuse_start(fetched.why);
  if (fetched.end == Fetched::End::ThisMachine) run_->refuse_run(fetched.why);
  co_return fetched.end == Fetched::End::There;
}

void InstanceSupervisor::show_pulling(std::optional<int32_t> percent) {
  if (percent && !book_.status().pulled_percent) {
    book_.add_event(api::event::kDownloading, "image " + spec_.container.image);
  }
  book_.show_pulling(percent);
}

Task<Result<>> InstanceSupervisor::start_run() {
  // Told to stop in the meantime: there is nothing to start.
  if (run_->exit() || !run_->refused().empty() || book_.wish().stop) co_return Result<>();
  run_->serve_metadata();
  book_.add_event(api::event::kStarting, {});
  CO_TRY(const bool running, co_await run_->start());
  if (running) on_running();
  co_return Result<>();
}

void InstanceSupervisor::on_running() {
  book_.show_running();
  book_.add_event(api::event::kRunning, {});
  run_->begin_probes();
  show_health();
}

RunFacts InstanceSupervisor::facts() const {
  RunFacts facts;
  facts.stop = book_.wish().stop;
  facts.let_go_reason = record().let_go_reason;
  facts.action = record().action;
  facts.action_reason = record().action_reason;
  facts.action_due = action_due_;
  facts.newer_run = book_.asks_for_newer_run();
  facts.run_action = book_.wish().run_action;
  facts.run_by_user = book_.wish().run_by_user;
  if (limits_refused_ && !facts.newer_run) {
    facts.newer_run = true;
    facts.run_action = link::RunAction::Restart;
    facts.run_by_user = false;
  }
  if (run_ != nullptr) {
    facts.exit = run_->exit();
    facts.failed_probe = run_->failed_probe();
    facts.disk_excess = run_->disk_excess();
    facts.refused = run_->refused();
    const bool failed = (facts.exit && facts.exit->code != 0) || facts.failed_probe;
    if (failed) facts.machine_trouble = parts_.machine_trouble();
  }
  facts.policy = wanted_spec_.restart_policy;
  facts.recent_restarts = book_.quick_exits();
  return facts;
}

Task<Result<NextStep>> InstanceSupervisor::next_step() {
  while (true) {
    NextStep step = decide_next(facts(), parts_.clock.now());
    if (step.kind != NextStep::Kind::Stay) co_return step;
    if (book_.is_behind()) {
      CO_TRY_DO(co_await catch_up());
      continue;
    }
    CO_TRY_DO(co_await wake_.wait_until(parts_.clock, step.look_again.value_or(TimePoint::max())));
  }
}

// To a version that asks for no other run: what it says of the run is changed as it lives.
// Cancelled is the only error.
Task<Result<>> InstanceSupervisor::catch_up() {
  const runtime::RunLimits limits = limits_of(wanted_spec_, parts_.node);
  const api::Resources resources = wanted_spec_.container.resources;
  const int32_t version = book_.wish().version;
  if (limits != limits_of(spec_, parts_.node)) {
    const Result<> done = co_await parts_.driver.set_limits(instance_id(), limits);
    const ErrorCode failed = done ? ErrorCode::Internal : done.code();
    if (failed == ErrorCode::Cancelled) co_return done;
    // One that has just ended is judged by its end, which comes.
    const bool has_ended = failed == ErrorCode::NotFound || failed == ErrorCode::FailedPrecondition;
    if (!done && !has_ended) {
      log_warning("agent", "limits cannot be changed as it runs; it is started again",
                  {{"instance", instance_id()}, {"error", done.error().message}});
      limits_refused_ = true;
      co_return Result<>();
    }
    spec_.container.resources = resources;
  }
  const std::optional<bool> caching = wanted_spec_.container.image_caching;
  if (caching != spec_.container.image_caching) {
    // It is the same to a run that is gone.
    std::ignore = parts_.driver.set_image_caching(instance_id(), caching.value_or(false));
    spec_.container.image_caching = caching;
  }
  if (version == book_.wish().version) book_.carry();
  co_return Result<>();
}

// Stored first: what follows destroys what the decision was made from.
void InstanceSupervisor::decide(const NextStep& step) {
  say_held_startup();
  book_.decide(step, run_ != nullptr);
}

// Ends the run, if there is one. What comes then: End, and the book says so; or the step that the
// next run is for.
Task<Result<NextStep>> InstanceSupervisor::carry_out(NextStep step) {
  const bool stored = book_.saved().has_value();
  CO_TRY_DO(co_await end_run());
  const bool again = step.kind == NextStep::Kind::RunAgain;
  if (again && step.keep_files) {
    book_.keep_files();
  } else if (stored) {
    CO_TRY_DO(co_await drop_run(instance_id()));
  } else {
    dropped_ = false;
  }
  if (again) {
    CO_TRY(step, co_await pause(std::move(step)));
  }
  if (step.kind == NextStep::Kind::End) {
    book_.end(step);
  }
  co_return step;
}

Task<Result<>> InstanceSupervisor::end_run() {
  if (run_ == nullptr) co_return Result<>();
  CO_TRY_DO(co_await run_->end(parts_.settings.stop_grace));
  CO_TRY_DO(co_await parts_.logs.finish(instance_id()));
  run_.reset();
  co_return Result<>();
}

// The driver keeps the run until its end is stored here, or the cloud has heard of it and wants
// the allocation no more.
Task<Result<>> InstanceSupervisor::drop_when_stored() {
  while (!book_.saved()) {
    CO_TRY_DO(co_await parts_.clock.sleep_for(kStoreAgain));
    book_.save_again();
  }
  if (!dropped_) CO_TRY_DO(co_await drop_run(instance_id()));
  dropped_ = true;
  co_return Result<>();
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

Task<Result<>> InstanceSupervisor::drop_kept_files() {
  if (record().files_of.empty()) co_return Result<>();
  co_return co_await drop_run(book_.take_files());
}

// Between two runs: waits for the back-off, and lets a newer wish come first.
Task<Result<NextStep>> InstanceSupervisor::pause(NextStep step) {
  const TimePoint until = parts_.clock.now() + step.back_off;
  book_.show_between_runs();
  while (true) {
    NextStep sooner = decide_next(facts(), parts_.clock.now());
    if (sooner.kind != NextStep::Kind::Stay) {
      decide(sooner);
      // Files that the earlier step kept are of no use to this one.
      const bool drop = !sooner.keep_files || sooner.kind == NextStep::Kind::End;
      if (drop) CO_TRY_DO(co_await drop_kept_files());
      co_return sooner;
    }
    if (parts_.clock.now() >= until) co_return step;
    CO_TRY_DO(co_await wake_.wait_until(parts_.clock, until));
  }
}

}  // namespace mesclun::agent
