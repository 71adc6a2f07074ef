#include "sim/simulation.h"

#include <fmt/format.h>

#include "base/log.h"
#include "cloud/schema.h"

namespace mesclun::sim {

namespace {

constexpr std::string_view kJoinToken = "simulated join token";
constexpr Duration kCheckPeriod = 10s;
constexpr Duration kDigestPeriod = 60s;

cloud::CloudSettings cloud_settings() {
  cloud::CloudSettings settings;
  settings.nodes.join_token = kJoinToken;
  settings.nodes.tunnel_secret = "simulated tunnel secret";
  return settings;
}

}  // namespace

Simulation::Simulation(SimSettings settings)
    : settings_(std::move(settings)),
      faults_(settings_.faults),
      random_(settings_.seed),
      network_(io_.get_executor(), clock_, random_, faults_, settings_.nodes),
      user_(clock_, random_, trace_, settings_.nodes,
            [this] { return cloud_up_ ? cloud_.get() : nullptr; }),
      chaos_(io_.get_executor(), "chaos"),
      watcher_(io_.get_executor(), "watch") {}

Simulation::~Simulation() = default;

void Simulation::build() {
  real_database_ = store::open_sqlite({}, cloud::cloud_migrations()).value();
  log_database_ = store::open_sqlite({}, cloud::log_migrations()).value();
  database_ = std::make_unique<SimDatabase>(clock_, random_, faults_, *real_database_);
  for (size_t i = 0; i < settings_.nodes; ++i) {
    nodes_.push_back(std::make_unique<SimNode>(i, io_.get_executor(), clock_, random_, network_,
                                               random_facts(random_, i), std::string(kJoinToken),
                                               settings_.starts));
  }
}

Task<Result<>> Simulation::start_cloud() {
  // A start that meets a failing store is tried again, as a service manager would.
  while (true) {
    cloud_ = std::make_unique<cloud::Cloud>(io_.get_executor(), clock_, random_, *database_,
                                            *log_database_, cloud_settings());
    const Result<> started = co_await cloud_->start();
    if (started) break;
    co_await cloud_->stop();
    cloud_.reset();
    CO_TRY_DO(co_await clock_.sleep_for(1s));
  }
  network_.set_cloud([this](link::SessionPtr session) { cloud_->serve_agent(std::move(session)); });
  cloud_up_ = true;
  co_return Result<>();
}

Task<void> Simulation::stop_cloud() {
  cloud_up_ = false;
  network_.set_cloud({});
  co_await cloud_->stop();
  cloud_.reset();
}

Task<Result<>> Simulation::restart_cloud_sometimes() {
  if (faults_.cloud_restarts_per_hour <= 0) co_return Result<>();
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(
        from_seconds(exponential(random_, 3600 / faults_.cloud_restarts_per_hour))));
    trace_.note("cloud stops");
    ++result_.cloud_restarts;
    co_await stop_cloud();
    // Not cut short: the heal phase begins with a cloud that runs.
    std::ignore = co_await clock_.sleep_for(from_seconds(exponential(random_, 20)));
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const Result<> started = co_await start_cloud();
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    trace_.note("cloud starts");
    CO_TRY_DO(started);
  }
}

Task<Result<>> Simulation::boot_node(SimNode& node, Duration after) {
  CO_TRY_DO(co_await clock_.sleep_for(after));
  co_return co_await node.boot();
}

// What happens to home machines: switched off, connection lost for seconds or minutes, agent
// killed.
Task<Result<>> Simulation::trouble_node(SimNode& node) {
  const double per_hour = faults_.interruptions_per_node_hour * faults_.churn_factor;
  if (per_hour <= 0) co_return Result<>();
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(from_seconds(exponential(random_, 3600 / per_hour))));
    if (!node.agent_runs()) continue;
    ++result_.node_faults;
    const double kind = random_.unit();
    if (kind < 0.4) {
      trace_.note("off " + node.machine_id());
      co_await node.power_off();
      CO_TRY_DO(co_await clock_.sleep_for(from_seconds(log_normal(random_, 900, 1.5))));
      CO_TRY_DO(co_await node.boot());
    } else if (kind < 0.6) {
      trace_.note("blink " + node.machine_id());
      network_.cut(node.index(), clock_.now() + from_seconds(1 + 14 * random_.unit()));
    } else if (kind < 0.85) {
      trace_.note("cut " + node.machine_id());
      network_.cut(node.index(), clock_.now() + from_seconds(log_normal(random_, 300, 1.2)));
    } else {
      trace_.note("agent " + node.machine_id());
      co_await node.crash_agent();
      CO_TRY_DO(co_await clock_.sleep_for(from_seconds(exponential(random_, 15))));
      CO_TRY_DO(co_await node.boot());
    }
  }
}

void Simulation::digest() {
  if (!cloud_up_) return;
  for (const auto& [id, allocation] : cloud_->fleet().allocations.all()) {
    trace_.note(id);
    trace_.note(allocation.node_id);
    trace_.note(allocation.status.instance_id);
    const link::ReplicaStatus& status = allocation.status;
    trace_.note(fmt::format("{} {} {} {} {} {} {}", enum_name(allocation.state()), allocation.lost,
                            allocation.ready(), status.version, status.run, allocation.wish.run,
                            allocation.update_time));
  }
}

Task<Result<>> Simulation::watch() {
  TimePoint next_digest = clock_.now();
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(kCheckPeriod));
    if (!cloud_up_) continue;
    // Decisions are taken without waiting, rules and all, so what is seen from another task lies
    // between two turns. (A command would lie before the rules of its own.)
    checkers_.check_fleet(cloud_->fleet());
    checkers_.check_copies(cloud_->fleet(), nodes_, network_, cloud_up_);
    if (clock_.now() < next_digest) continue;
    next_digest = clock_.now() + kDigestPeriod;
    digest();
  }
}

Task<Result<>> Simulation::heal() {
  co_await chaos_.stop();
  faults_ = Faults::none();
  if (!cloud_) CO_TRY_DO(co_await start_cloud());
  for (const auto& node : nodes_) {
    network_.cut(node->index(), clock_.now());
    CO_TRY_DO(co_await node->boot());
  }
  trace_.note("faults have stopped");
  co_return Result<>();
}

Task<Result<>> Simulation::shut_down() {
  co_await chaos_.stop();
  co_await watcher_.stop();
  for (const auto& node : nodes_) {
    co_await node->power_off();
    co_await node->driver().close();
  }
  if (cloud_) co_await stop_cloud();
  co_return Result<>();
}

void Simulation::run_to_end(Task<Result<>> task) {
  struct Keep {
    static Task<Result<>> run(Task<Result<>> inner, bool& done, bool& bad) {
      const Result<> result = co_await std::move(inner);
      if (!result) {
        log_error("sim", "a step failed", {{"error", to_string(result.error())}});
        bad = true;
      }
      done = true;
      co_return Result<>();
    }
  };
  Scope scope(io_.get_executor(), "step");
  bool done = false;
  scope.spawn(Keep::run(std::move(task), done, failed_));
  if (!clock_.run_while_not([&] { return done; }, 1h)) failed_ = true;
  scope.cancel();
  clock_.run_while_not([&] { return scope.running() == 0; }, 1h);
}

void Simulation::run_until(TimePoint end, const std::function<void(double)>& progress, double from,
                           double to) {
  const TimePoint begin = clock_.now();
  while (clock_.now() < end) {
    clock_.run_until(std::min(end, clock_.now() + Duration(1min)));
    progress(from + (to - from) * to_seconds(clock_.now() - begin) / to_seconds(end - begin));
  }
}

SimResult Simulation::run(const std::function<void(double)>& progress) {
  build();
  run_to_end(start_cloud());
  // Without faults so far, so that there is somebody to work for.
  const Faults chosen = std::exchange(faults_, Faults::none());
  run_to_end(user_.sign_up(cloud_->accounts()));
  faults_ = chosen;

  for (const auto& node : nodes_) {
    // Joining over the first ten minutes.
    chaos_.spawn(boot_node(*node, from_seconds(600 * random_.unit())));
  }
  for (const auto& node : nodes_) chaos_.spawn(trouble_node(*node));
  chaos_.spawn(user_.act());
  chaos_.spawn(restart_cloud_sometimes());
  watcher_.spawn(watch());
  const double total = settings_.hours + settings_.heal_hours;
  const double middle = settings_.hours / total;
  run_until(clock_.now() + from_seconds(settings_.hours * 3600), progress, 0, middle);
  run_to_end(heal());
  run_until(clock_.now() + from_seconds(settings_.heal_hours * 3600), progress, middle, 1);

  checkers_.check_healed(cloud_->fleet(), nodes_);
  digest();
  for (const auto& [id, allocation] : cloud_->fleet().allocations.all()) {
    if (allocation.serves()) ++result_.serving;
    if (!allocation.placed()) ++result_.waiting;
  }
  for (const auto& node : nodes_) result_.starts += node->driver().starts();
  run_to_end(shut_down());
  result_.trace_hash = trace_.hash();
  result_.events = trace_.events();
  result_.commands = user_.commands();
  result_.checks = checkers_.checks();
  result_.violations = checkers_.violations();
  if (failed_ || user_.failed())
    result_.violations.emplace_back("the simulation itself failed; see its log");
  return std::move(result_);
}

}  // namespace mesclun::sim
