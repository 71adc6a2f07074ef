#include "agent/node_agent.h"

#include "agent/silence_rule.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/units.h"

namespace mesclun::agent {

using link::NodeMode;
using link::RunOutcome;

namespace {

constexpr int kListTries = 5;
constexpr Duration kListAgain = 1s;
constexpr Duration kConnectLimit = 10s;
// A cloud says a spec right before the Desired that names it.
constexpr size_t kSpecsMax = 4'096;
// More than one start of an agent can ever write; two thousand million starts have room.
constexpr int64_t kSequencesOfStart = int64_t{1} << 32;

constexpr std::string_view kDrainReason = "the owner of this machine drains it";

link::NodeFacts with_warnings(link::NodeFacts facts, const runtime::DriverFacts& driver) {
  facts.runtime = driver.runtime;
  facts.warnings.insert(facts.warnings.end(), driver.warnings.begin(), driver.warnings.end());
  return facts;
}

std::vector<std::string> real_gpus(const link::NodeFacts& facts) {
  std::vector<std::string> out;
  for (const link::GpuFacts& gpu : facts.gpus) {
    if (!gpu.pretended && !gpu.device.empty()) out.push_back(gpu.device);
  }
  return out;
}

}  // namespace

NodeAgent::NodeAgent(Parts parts, AgentSettings settings, link::NodeFacts facts,
                     std::string join_token)
    : parts_(std::move(parts)),
      settings_(std::move(settings)),
      facts_(with_warnings(std::move(facts), parts_.driver.facts())),
      join_token_(std::move(join_token)),
      identity_{.cpu_share_percent = facts_.cpu_share_percent, .gpus = real_gpus(facts_)},
      journal_(parts_.store),
      logs_(parts_.executor, parts_.driver, parts_.clock, settings_.logs, parts_.log_segments),
      tokens_(parts_.executor, parts_.clock,
              [this](const link::TokenRequest& request) { return session_.ask(request); }),
      pulls_(parts_.executor, parts_.clock,
             [this](const link::PullRequest& request) { return session_.ask(request); }),
      private_images_(node_.private_repositories),
      watch_({.executor = parts_.executor,
              .clock = parts_.clock,
              .store = parts_.store,
              .driver = parts_.driver,
              .changed = [this] { changed(); }}),
      usage_(parts_.clock, parts_.driver, parts_.read_machine),
      supervisor_parts_{.executor = parts_.executor,
                        .clock = parts_.clock,
                        .random = parts_.random,
                        .driver = parts_.driver,
                        .store = parts_.store,
                        .journal = journal_,
                        .tokens = tokens_,
                        .pulls = pulls_,
                        .private_images = private_images_,
                        .save_node = [this] { return parts_.store.save_node(node_); },
                        .logs = logs_,
                        .settings = settings_,
                        .node = identity_,
                        .changed = [this] { changed(); },
                        .blame_machine = [this](const std::string& what) { watch_.blame(what); },
                        .machine_trouble = [this] { return watch_.look(); }},
      session_({.executor = parts_.executor,
                .clock = parts_.clock,
                .random = parts_.random,
                .dialer = parts_.dialer,
                .journal = journal_,
                .logs = logs_,
                .tokens = tokens_,
                .pulls = pulls_,
                .usage = usage_,
                .settings = settings_},
               *this),
      changed_(parts_.executor),
      reapable_(parts_.executor),
      scope_(parts_.executor, "node agent") {
  if (parts_.tunnels == nullptr) return;
  tunnels_ = std::make_unique<TunnelKeeper>(parts_.executor, parts_.clock, parts_.random,
                                            *parts_.tunnels, settings_.gateways,
                                            [this](std::string instance_id, uint16_t port) {
                                              return connect_instance(std::move(instance_id), port);
                                            });
}

NodeAgent::~NodeAgent() = default;

Task<Result<>> NodeAgent::start() {
  CO_TRY(StoredState stored, parts_.store.load());
  node_ = std::move(stored.node);
  if (node_.machine_id.empty()) {
    node_.machine_id = new_uuid(parts_.random);
    node_.node_secret = new_secret(parts_.random);
    CO_TRY_DO(parts_.store.save_node(node_));
  } else {
    ++node_.restarts;
    if (const Result<> saved = parts_.store.save_node(node_); !saved) {
      log_warning("agent", "this start could not be counted", {{"error", saved.error().message}});
    }
  }
  identity_.machine_id = node_.machine_id;
  journal_.load(std::move(stored.events), stored.next_sequence,
                node_.restarts * kSequencesOfStart + 1);
  logs_.load(node_.restarts * kSequencesOfStart + 1);
  CO_TRY_DO(co_await adopt(std::move(stored.allocations)));
  if (node_.mode == NodeMode::Draining) let_go_all(std::string(kDrainReason));
  scope_.spawn(reap());
  scope_.spawn(watch_.run());
  if (settings_.stop_after_silence > Duration::zero()) scope_.spawn(watch_silence());
  scope_.spawn(session_.run());
  co_return Result<>();
}

// Meets what the store says with what the driver has.
Task<Result<>> NodeAgent::adopt(std::vector<AllocationRecord> allocations) {
  Result<std::vector<runtime::RunInfo>> runs = std::vector<runtime::RunInfo>();
  for (int attempt = 1;; ++attempt) {
    runs = co_await parts_.driver.list();
    if (runs) break;
    if (attempt == kListTries || runs.code() == ErrorCode::Cancelled) co_return runs.error();
    CO_TRY_DO(co_await parts_.clock.sleep_for(kListAgain));
  }
  std::map<std::string, runtime::RunInfo> found;
  for (runtime::RunInfo& run : *runs) found.emplace(run.instance_id, std::move(run));
  for (AllocationRecord& record : allocations) {
    const std::string id = record.assignment.allocation_id;
    remember_spec(record.assignment);
    supervisors_[id] = std::make_unique<InstanceSupervisor>(supervisor_parts_, std::move(record));
  }
  for (auto& [id, supervisor] : supervisors_) supervisor->say_decided();
  for (auto& [id, supervisor] : supervisors_) {
    const AllocationRecord& record = supervisor->record();
    std::optional<runtime::RunInfo> run;
    const bool ended = record.status.state == link::RunState::Ended;
    if (const auto at = found.find(record.status.instance_id); at != found.end() && !ended) {
      run = std::move(at->second);
      found.erase(at);
    }
    // Files that the next run is to take over stay.
    if (!ended && record.status.run != 0) found.erase(record.files_of);
    supervisor->begin(std::move(run));
  }
  for (auto& [id, run] : found) scope_.spawn(remove_unknown(id));
  co_return Result<>();
}

// A run that nobody here knows: of an allocation that ended, or of an agent whose state was lost.
Task<Result<>> NodeAgent::remove_unknown(std::string instance_id) {
  log_info("agent", "an unknown run is stopped and removed", {{"instance", instance_id}});
  const Result<> stopped = co_await parts_.driver.stop(instance_id, settings_.stop_grace);
  if (!stopped && stopped.code() == ErrorCode::Cancelled) co_return stopped.error();
  co_return co_await parts_.driver.remove(std::move(instance_id));
}

Task<Result<>> NodeAgent::stop_instances(std::string reason, Duration limit) {
  stopping_ = true;
  let_go_all(reason);
  changed();
  const TimePoint end = parts_.clock.now() + limit;
  auto all_ended = [this] {
    return std::ranges::all_of(supervisors_, [](const auto& s) { return s.second->ended(); });
  };
  while (!all_ended() && parts_.clock.now() < end) {
    CO_TRY_DO(co_await changed_.wait_until(parts_.clock, end));
  }
  if (!all_ended()) co_return Error::deadline("some instances did not end in time");
  // The last report gets a moment to leave.
  if (session_.connected()) CO_TRY_DO(co_await parts_.clock.sleep_for(5 * settings_.report_gap));
  co_return Result<>();
}

Task<Result<>> NodeAgent::watch_silence() {
  SilenceRule rule(settings_.stop_after_silence, std::chrono::milliseconds(node_.silent_ms),
                   parts_.clock.now());
  while (true) {
    CO_TRY_DO(co_await parts_.clock.sleep_for(rule.period()));
    const SilenceRule::Verdict verdict = rule.look(session_.connected(), parts_.clock.now());
    if (verdict.save) {
      node_.silent_ms = to_millis(rule.silent());
      // On a full disk an agent after us counts from what was stored last.
      std::ignore = parts_.store.save_node(node_);
    }
    if (verdict.stop) {
      let_go_all(fmt::format("no word from the cloud for {}",
                             format_duration(settings_.stop_after_silence)));
    }
  }
}

Task<void> NodeAgent::close() {
  co_await scope_.stop();
  if (tunnels_) co_await tunnels_->close();
  for (auto& [id, supervisor] : supervisors_) co_await supervisor->close();
}

link::Hello NodeAgent::hello() const {
  link::Hello hello{.machine_id = node_.machine_id,
                    .node_secret = node_.node_secret,
                    .join_token = parts_.fresh_join_token ? parts_.fresh_join_token() : join_token_,
                    .facts = facts_,
                    .understands = {"exec"}};
  return hello;
}

link::Report NodeAgent::report() const {
  link::Report report{.mode = mode(), .trouble = trouble()};
  for (const auto& [id, supervisor] : supervisors_)
    report.instances.push_back(supervisor->report());
  return report;
}

void NodeAgent::welcomed(const link::Welcome& welcome) {
  if (tunnels_) tunnels_->update(welcome.gateways, welcome.tunnel_ticket);
}

link::KnownSpecs NodeAgent::known_specs() const {
  link::KnownSpecs known;
  for (const auto& [name, spec] : specs_) known.specs.push_back(name);
  return known;
}

Result<> NodeAgent::learn(link::Spec spec) {
  const link::SpecName name = spec.name();
  if (specs_.size() >= kSpecsMax && !specs_.contains(name)) {
    return Error{ErrorCode::ResourceExhausted, "more specs than a node takes"};
  }
  specs_[name] = std::move(spec);
  return {};
}

// After a restart the cloud need not say it again.
void NodeAgent::remember_spec(const Assignment& stored) {
  if (stored.wish.stop) return;
  specs_.try_emplace({stored.group.group_id, stored.wish.version},
                     link::Spec{stored.group, stored.wish.version, stored.spec});
}

void NodeAgent::apply(const link::Desired& desired) {
  std::set<std::string> wanted;
  std::set<link::SpecName> named;
  for (const link::Assignment& told : desired.assignments) {
    wanted.insert(told.allocation_id);
    gone_.erase(told.allocation_id);
    if (const auto name = told.spec()) named.insert(*name);
    const auto found = supervisors_.find(told.allocation_id);
    if (found != supervisors_.end()) {
      update(*found->second, told);
    } else {
      add(told);
    }
  }
  std::erase_if(specs_, [&](const auto& entry) { return !named.contains(entry.first); });
  for (auto& [id, supervisor] : supervisors_) {
    if (wanted.contains(id)) continue;
    supervisor->stop();
    gone_.insert(id);
  }
  changed();
}

// Nothing if its spec never came.
std::optional<Assignment> NodeAgent::with_spec(const link::Assignment& told) const {
  const auto found = specs_.find({told.group_id, told.wish.version});
  if (found == specs_.end()) return std::nullopt;
  return Assignment{.allocation_id = told.allocation_id,
                    .instance_id = told.instance_id,
                    .group = found->second.group,
                    .spec = found->second.spec,
                    .wish = told.wish};
}

void NodeAgent::update(InstanceSupervisor& supervisor, const link::Assignment& told) {
  if (told.wish.stop) {
    supervisor.stop();
  } else if (const auto assignment = with_spec(told)) {
    supervisor.update(*assignment);
  } else if (!supervisor.ended()) {
    log_error("agent", "the cloud named a spec that it did not send; the old one stays",
              {{"instance", supervisor.instance_id()}, {"version", told.wish.version}});
  }
}

void NodeAgent::add(const link::Assignment& told) {
  AllocationRecord record;
  const std::optional<Assignment> assignment = with_spec(told);
  record.assignment = assignment.value_or(Assignment{.allocation_id = told.allocation_id,
                                                     .instance_id = told.instance_id,
                                                     .group = {.group_id = told.group_id},
                                                     .wish = told.wish});
  auto& supervisor = supervisors_[told.allocation_id];
  supervisor = std::make_unique<InstanceSupervisor>(supervisor_parts_, std::move(record));
  if (told.wish.stop) {
    supervisor->refuse(RunOutcome::Stopped, "it does not run here");
  } else if (!trouble().empty()) {
    supervisor->refuse(RunOutcome::Replace, "this machine takes nothing new: " + trouble());
  } else if (mode() != NodeMode::Active) {
    supervisor->refuse(RunOutcome::Replace, stopping_ ? "the agent of this machine is stopping"
                                            : mode() == NodeMode::Paused
                                                ? "the owner of this machine paused it"
                                                : "the owner of this machine drains it");
  } else if (!assignment) {
    supervisor->refuse(
        RunOutcome::Replace,
        fmt::format("the cloud did not send the group's spec of version {}", told.wish.version));
  } else {
    supervisor->begin(std::nullopt);
  }
}

Result<> NodeAgent::set_mode(NodeMode mode) {
  NodeRecord next = node_;
  next.mode = mode;
  TRY_DO(parts_.store.save_node(next));
  node_ = std::move(next);
  log_info("agent", "the owner changed the mode", {{"mode", enum_name(mode)}});
  if (mode == NodeMode::Draining) let_go_all(std::string(kDrainReason));
  changed();
  return {};
}

void NodeAgent::let_go_all(const std::string& reason) {
  for (auto& [id, supervisor] : supervisors_) supervisor->let_go(reason);
}

InstanceSupervisor* NodeAgent::find_instance(std::string_view instance_id) {
  for (auto& [id, supervisor] : supervisors_) {
    if (supervisor->instance_id() == instance_id && supervisor->present()) return supervisor.get();
  }
  return nullptr;
}

std::string NodeAgent::group_name(const std::string& allocation_id) const {
  const auto found = supervisors_.find(allocation_id);
  return found == supervisors_.end() ? std::string()
                                     : found->second->record().assignment.group.group_name;
}

Task<Result<ConnPtr>> NodeAgent::connect_instance(std::string instance_id, uint16_t port) {
  if (find_instance(instance_id) == nullptr) {
    co_return Error{ErrorCode::Unavailable, "that instance does not run here", Cause::Unreachable};
  }
  co_return co_await parts_.driver.connect(std::move(instance_id), port, true, kConnectLimit);
}

Task<Result<std::unique_ptr<runtime::ExecStream>>> NodeAgent::open_exec(std::string instance_id,
                                                                        runtime::ExecSpec spec) {
  if (find_instance(instance_id) == nullptr) {
    co_return Error::not_found("the instance does not run on its machine any more");
  }
  co_return co_await parts_.driver.open_exec(std::move(instance_id), std::move(spec));
}

void NodeAgent::changed() {
  session_.changed();
  changed_.notify_all();
  if (!gone_.empty()) reapable_.notify_all();
}

// Forgets what has ended and is wanted no more.
Task<Result<>> NodeAgent::reap() {
  while (true) {
    std::vector<std::unique_ptr<InstanceSupervisor>> done;
    for (auto it = gone_.begin(); it != gone_.end();) {
      const auto found = supervisors_.find(*it);
      const bool ended = found == supervisors_.end() || found->second->ended();
      if (!ended) {
        ++it;
        continue;
      }
      if (found != supervisors_.end()) {
        done.push_back(std::move(found->second));
        supervisors_.erase(found);
      }
      if (const Result<> erased = parts_.store.erase_allocation(*it); !erased) {
        log_warning("agent", "an ended allocation could not be forgotten",
                    {{"error", erased.error().message}});
      }
      it = gone_.erase(it);
    }
    for (auto& supervisor : done) {
      co_await supervisor->close();
      if (const std::string run = supervisor->left_run(); !run.empty()) {
        scope_.spawn(remove_unknown(run));
      }
      const bool last = std::ranges::none_of(supervisors_, [&](const auto& other) {
        return other.second->group_id() == supervisor->group_id();
      });
      if (last) tokens_.forget(supervisor->group_id());
    }
    if (!done.empty()) {
      session_.changed();
      changed_.notify_all();
      continue;  // more may have ended while we waited
    }
    CO_TRY_DO(co_await reapable_.wait());
  }
}

}  // namespace mesclun::agent
