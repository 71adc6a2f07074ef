#include "sim/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cloud/fleet_views.h"
#include "cloud/schema.h"
#include "sim/route_checker.h"

namespace mesclun::sim {

namespace {

constexpr std::string_view kJoinToken = "simulated join token";
constexpr std::string_view kGatewayToken = "simulated gateway token";
constexpr Duration kCheckPeriod = 10s;
constexpr Duration kDigestPeriod = 60s;
// A kill comes before one of so many next effects, or when it is over that nothing came of it.
constexpr uint64_t kEffectsOfAgent = 12;
constexpr uint64_t kEffectsOfCloud = 40;
constexpr Duration kKillWaits = 60s;

cloud::CloudSettings cloud_settings() {
  cloud::CloudSettings settings;
  settings.nodes.join_token = kJoinToken;
  settings.nodes.tunnel_secret = "simulated tunnel secret";
  settings.gateways.gateway_token = kGatewayToken;
  settings.gateways.tunnel_secret = settings.nodes.tunnel_secret;
  return settings;
}

}  // namespace

Simulation::Simulation(SimSettings settings)
    : settings_(std::move(settings)),
      faults_(settings_.faults),
      random_(settings_.seed),
      ears_(clock_, settings_.nodes,
            [this](const std::string& node_id, const std::string& group_id) {
              return is_placed_on(node_id, group_id);
            }),
      turns_(clock_, ears_, ledger_, violations_,
             [this](const std::string& node_id, const std::string& instance_id) {
               return runs_on(node_id, instance_id);
             }),
      network_(io_.get_executor(), clock_, random_, faults_, settings_.nodes + settings_.gateways),
      chaos_(io_.get_executor(), "chaos"),
      watcher_(io_.get_executor(), "watch") {}

Simulation::~Simulation() = default;

void Simulation::build() {
  real_database_ = store::open_sqlite({}, cloud::cloud_migrations()).value();
  log_database_ = store::open_sqlite({}, cloud::log_migrations()).value();
  database_ = std::make_unique<SimDatabase>(clock_, random_, faults_, *real_database_);
  network_.set_listen([this](size_t node, link::SessionPtr session) {
    return ears_.listen(node, std::move(session));
  });
  cloud_ = std::make_unique<SimCloud>(SimCloud::Parts{
      .executor = io_.get_executor(),
      .clock = clock_,
      .random = random_,
      .network = network_,
      .database = *database_,
      .log_database = *log_database_,
      .settings = cloud_settings(),
      .turn_cost = from_seconds(settings_.turn_cost_ms / 1000),
      .started = [this](cloud::Cloud& cloud,
                        TimePoint since) { turns_.cloud_started(cloud.fleet(), since); },
      .write_begins = [this] { look_at_turn(); },
      .write_failed = [this] { turns_.forget(); }});
  user_ = std::make_unique<User>(clock_, random_, trace_, settings_.nodes, *cloud_, ledger_);
  for (size_t i = 0; i < settings_.nodes; ++i) {
    nodes_.push_back(std::make_unique<SimNode>(i, io_.get_executor(), clock_, random_, network_,
                                               random_facts(random_, i), std::string(kJoinToken),
                                               settings_.starts));
  }
  for (size_t i = 0; i < settings_.gateways; ++i) {
    gateways_.push_back(std::make_unique<SimGateway>(settings_.nodes + i, io_.get_executor(),
                                                     clock_, random_, network_,
                                                     std::string(kGatewayToken)));
  }
}

Task<Result<>> Simulation::trouble_cloud() {
  if (faults_.cloud_restarts_per_hour <= 0) co_return Result<>();
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(
        from_seconds(exponential(random_, 3600 / faults_.cloud_restarts_per_hour))));
    do {
      ++result_.cloud_restarts;
      CO_TRY_DO(co_await end_cloud());
      CO_TRY_DO(co_await clock_.sleep_for(from_seconds(exponential(random_, 20))));
      CO_TRY_DO(co_await cloud_->start());
      trace_.note("cloud starts");
    } while (random_.chance(0.25));
  }
}

Task<Result<>> Simulation::stall_cloud() {
  if (faults_.cloud_stalls_per_hour <= 0) co_return Result<>();
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(
        from_seconds(exponential(random_, 3600 / faults_.cloud_stalls_per_hour))));
    trace_.note("cloud stalls");
    ++result_.cloud_stalls;
    cloud_->stall(from_seconds(1 + 29 * random_.unit()));
  }
}

// Most that end a cloud are no orderly ends.
Task<Result<>> Simulation::end_cloud() {
  const double kind = random_.unit();
  const bool machine_too = random_.chance(0.3);
  if (kind < 0.3) {
    trace_.note("cloud stops");
    co_await cloud_->stop();
    co_return Result<>();
  }
  if (kind < 0.8) {
    cloud_->kill_before(1 + random_.below(kEffectsOfCloud), machine_too);
    CO_TRY_DO(co_await cloud_->wait_killed(clock_.now() + kKillWaits));
  }
  trace_.note("cloud is killed");
  cloud_->kill(machine_too);
  co_return Result<>();
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
      if (random_.chance(0.3)) {
        node.kill_before(1 + random_.below(kEffectsOfAgent), true);
        CO_TRY_DO(co_await node.wait_killed(clock_.now() + kKillWaits));
      }
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
      do {
        CO_TRY_DO(co_await end_agent(node));
        CO_TRY_DO(co_await clock_.sleep_for(from_seconds(exponential(random_, 15))));
        CO_TRY_DO(co_await node.boot());
      } while (random_.chance(0.4));
    }
  }
}

Task<Result<>> Simulation::end_agent(SimNode& node) {
  const double kind = random_.unit();
  trace_.note("agent " + node.machine_id());
  if (kind < 0.2) {
    co_await node.stop_agent();
    co_return Result<>();
  }
  if (kind < 0.8) {
    node.kill_before(1 + random_.below(kEffectsOfAgent), false);
    CO_TRY_DO(co_await node.wait_killed(clock_.now() + kKillWaits));
  }
  co_await node.kill_agent();
  co_return Result<>();
}

// Cut off, or started anew with an empty table.
Task<Result<>> Simulation::trouble_gateway(SimGateway& gateway) {
  const double per_hour = faults_.interruptions_per_node_hour * faults_.churn_factor;
  if (per_hour <= 0) co_return Result<>();
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(from_seconds(exponential(random_, 3600 / per_hour))));
    ++result_.gateway_faults;
    if (random_.chance(0.6)) {
      trace_.note("cut " + gateway.name());
      network_.cut(gateway.peer(), clock_.now() + from_seconds(log_normal(random_, 60, 1.5)));
    } else {
      trace_.note("end " + gateway.name());
      co_await gateway.end();
      CO_TRY_DO(co_await clock_.sleep_for(from_seconds(exponential(random_, 15))));
      gateway.boot();
    }
  }
}

void Simulation::digest() {
  cloud::Cloud* const cloud = cloud_->running();
  if (cloud == nullptr) return;
  for (const auto& [id, allocation] : cloud->fleet().allocations.all()) {
    trace_.note(id);
    trace_.note(allocation.node_id);
    trace_.note(allocation.status.instance_id);
    const link::ReplicaStatus& status = allocation.status;
    trace_.note(fmt::format("{} {} {} {} {} {} {}", enum_name(allocation.state()), allocation.lost,
                            allocation.ready(), status.version, status.run, allocation.wish.run,
                            allocation.update_time));
  }
  for (const auto& gateway : gateways_) {
    for (const auto& [host, route] : gateway->routes()) trace_.note(to_json_text(route));
  }
}

// Decisions are taken without waiting, rules and all, so whoever is called meanwhile looks between
// two turns.
void Simulation::look_at_turn() {
  cloud::Cloud* const cloud = cloud_->running();
  if (cloud != nullptr) turns_.look(cloud->fleet(), ears_.take_succeeded());
}

bool Simulation::runs_on(const std::string& node_id, const std::string& instance_id) const {
  for (const auto& node : nodes_) {
    if (node->machine_id() != node_id) continue;
    return std::ranges::count(node->driver().live(), instance_id) > 0;
  }
  return false;
}

bool Simulation::is_placed_on(const std::string& node_id, const std::string& group_id) {
  cloud::Cloud* const cloud = cloud_->running();
  return cloud != nullptr && cloud::is_placed_on(cloud->fleet(), group_id, node_id);
}

Task<Result<>> Simulation::check_events() {
  auto stored = std::make_shared<std::vector<cloud::Event>>();
  store::Body body = [stored](store::Transaction& tx) -> Result<> {
    TRY(const auto rows, tx.query("SELECT document FROM event ORDER BY sequence"));
    for (const store::Row& row : rows) {
      TRY(cloud::Event event, from_json_text<cloud::Event>(row.text(0)));
      stored->push_back(std::move(event));
    }
    return {};
  };
  CO_TRY_DO(co_await real_database_->read(std::move(body)));
  ears_.events().check(*stored, cloud_->running()->fleet(), violations_);
  co_return Result<>();
}

Task<Result<>> Simulation::watch() {
  TimePoint next_digest = clock_.now();
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(kCheckPeriod));
    cloud::Cloud* const cloud = cloud_->running();
    if (cloud == nullptr) continue;
    // Between two turns, too; a command would lie before the rules of its own.
    checkers_.check_fleet(cloud->fleet());
    checkers_.check_copies(cloud->fleet(), nodes_, network_, true);
    ledger_.check(cloud->fleet());
    for (const auto& gateway : gateways_) {
      violations_.add_all(unready_routes(*gateway, cloud->fleet(), nodes_));
    }
    if (clock_.now() < next_digest) continue;
    next_digest = clock_.now() + kDigestPeriod;
    digest();
  }
}

Task<Result<>> Simulation::heal() {
  co_await chaos_.stop();
  faults_ = Faults::none();
  CO_TRY_DO(co_await cloud_->start());
  for (const auto& node : nodes_) {
    network_.cut(node->index(), clock_.now());
    CO_TRY_DO(co_await node->boot());
  }
  for (const auto& gateway : gateways_) {
    network_.cut(gateway->peer(), clock_.now());
    gateway->boot();
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
  for (const auto& gateway : gateways_) co_await gateway->end();
  co_await cloud_->stop();
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
  run_to_end(cloud_->start());
  // Without faults so far, so that there is somebody to work for.
  const Faults chosen = std::exchange(faults_, Faults::none());
  run_to_end(user_->sign_up(cloud_->running()->accounts()));
  faults_ = chosen;

  for (const auto& node : nodes_) {
    // Joining over the first ten minutes.
    chaos_.spawn(boot_node(*node, from_seconds(600 * random_.unit())));
  }
  for (const auto& node : nodes_) chaos_.spawn(trouble_node(*node));
  for (const auto& gateway : gateways_) {
    gateway->boot();
    chaos_.spawn(trouble_gateway(*gateway));
  }
  chaos_.spawn(user_->act());
  chaos_.spawn(trouble_cloud());
  chaos_.spawn(stall_cloud());
  watcher_.spawn(watch());
  const double total = settings_.hours + settings_.heal_hours;
  const double middle = settings_.hours / total;
  run_until(clock_.now() + from_seconds(settings_.hours * 3600), progress, 0, middle);
  run_to_end(heal());
  run_until(clock_.now() + from_seconds(settings_.heal_hours * 3600), progress, middle, 1);

  const cloud::Fleet& fleet = cloud_->running()->fleet();
  checkers_.check_healed(fleet, nodes_);
  run_to_end(check_events());
  for (const auto& gateway : gateways_) violations_.add_all(wrong_routes(*gateway, fleet));
  digest();
  for (const auto& [id, allocation] : fleet.allocations.all()) {
    if (allocation.serves()) ++result_.serving;
    if (!allocation.placed()) ++result_.waiting;
    if (allocation.done()) ++result_.done;
  }
  for (const auto& node : nodes_) result_.starts += node->driver().starts();
  run_to_end(shut_down());
  result_.trace_hash = trace_.hash();
  result_.events = trace_.events();
  result_.commands = user_->commands();
  result_.checks = checkers_.checks() + turns_.looks();
  result_.violations = violations_.all();
  if (failed_ || user_->failed())
    result_.violations.emplace_back("the simulation itself failed; see its log");
  return std::move(result_);
}

}  // namespace mesclun::sim
