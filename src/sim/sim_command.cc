#include "sim/sim_command.h"

#include <unistd.h>

#include <thread>

#include "base/command_line.h"
#include "sim/sweep.h"

namespace mesclun::sim {

namespace {

json::object result_json(const SimSettings& settings, const SimResult& result) {
  json::object out;
  out["nodes"] = settings.nodes;
  out["hours"] = settings.hours;
  out["seed"] = settings.seed;
  out["trace_hash"] = fmt::format("{:016x}", result.trace_hash);
  out["events"] = result.events;
  out["checks"] = result.checks;
  out["commands"] = result.commands;
  out["node_faults"] = result.node_faults;
  out["gateway_faults"] = result.gateway_faults;
  out["cloud_restarts"] = result.cloud_restarts;
  out["cloud_stalls"] = result.cloud_stalls;
  out["container_starts"] = result.starts;
  out["serving"] = result.serving;
  out["waiting"] = result.waiting;
  out["done"] = result.done;
  out["violations"] = write_json(result.violations);
  return out;
}

void print_result(const SimSettings& settings, const SimResult& result) {
  fmt::print("{} nodes, {} h of faults and {} h to heal, seed {}\n", settings.nodes, settings.hours,
             settings.heal_hours, settings.seed);
  fmt::print("node faults      {}\n", result.node_faults);
  fmt::print("gateway faults   {}\n", result.gateway_faults);
  fmt::print("cloud restarts   {}\n", result.cloud_restarts);
  fmt::print("cloud stalls     {}\n", result.cloud_stalls);
  fmt::print("user commands    {}\n", result.commands);
  fmt::print("container starts {}\n", result.starts);
  fmt::print("at the end       {} serve, {} wait for a node, {} are done\n", result.serving,
             result.waiting, result.done);
  fmt::print("checks           {}\n", result.checks);
  fmt::print("trace            {:016x} over {} events\n", result.trace_hash, result.events);
  fmt::print("violations       {}\n", result.violations.size());
  for (const std::string& violation : result.violations) fmt::print("  {}\n", violation);
}

// A bar of 50 on standard error, if that is a terminal; each call is worth a look at the clock only
// when the percentage has changed.
class ProgressBar {
 public:
  ~ProgressBar() {
    if (last_ >= 0) fmt::print(stderr, "\n");
  }
  void show(double share) {
    const int percent = static_cast<int>(share * 100);
    if (!terminal_ || percent == last_) return;
    last_ = percent;
    fmt::print(stderr, "\r[{:<50}] {:3} %", std::string(static_cast<size_t>(percent / 2), '#'),
               percent);
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  int last_ = -1;
};

struct Options {
  SimSettings settings;
  LogSettings log{.level = LogLevel::Off};
  std::optional<SeedRange> seeds;
  size_t jobs = std::max(1U, std::thread::hardware_concurrency());
  bool json = false;
};

void add_options(CommandLine& line, Options& o) {
  SimSettings& settings = o.settings;
  add_setting(line, "--nodes", settings.nodes, size_t{1}, size_t{100'000}, "Machines");
  add_setting(line, "--gateways", settings.gateways, size_t{0}, size_t{64}, "Gateways");
  add_setting(line, "--hours", settings.hours, 0.0, 10'000.0, "Virtual hours with faults");
  add_setting(line, "--heal-hours", settings.heal_hours, 1.5, 1000.0,
              "Virtual hours without them, afterwards; a start can take one");
  add_setting(line, "--seed", settings.seed, uint64_t{0}, std::numeric_limits<uint64_t>::max(),
              "Replays a run");
  add_setting(line, "--churn", settings.faults.churn_factor, 0.0, 1000.0,
              "Times the published rate of 1.1 interruptions an hour among 100 nodes");
  add_setting(line, "--session-resets", settings.faults.session_reset_chance, 0.0, 1.0,
              "Chance of a message to break its session");
  add_setting(line, "--delay-spikes", settings.faults.delay_spike_chance, 0.0, 1.0,
              "Chance of a message to be 0.2 to 3.2 s late");
  add_setting(
      line, "--byte-streams", settings.faults.byte_stream_share, 0.0, 1.0,
      "Share of the sessions that go as streams of bytes, cut anywhere, and not as messages");
  add_setting(line, "--store-failures", settings.faults.store_failure_chance, 0.0, 1.0,
              "Chance of a commit to fail");
  add_setting(line, "--store-slow", settings.faults.store_slow_chance, 0.0, 1.0,
              "Chance of a commit to take 0.2 to 5 s");
  add_setting(line, "--cloud-restarts", settings.faults.cloud_restarts_per_hour, 0.0, 100.0,
              "Restarts of the cloud an hour");
  add_setting(line, "--cloud-stalls", settings.faults.cloud_stalls_per_hour, 0.0, 100.0,
              "Times an hour in which the cloud stands still, for 1 to 30 s");
  add_setting(line, "--turn-cost", settings.turn_cost_ms, 0.0, 10'000.0,
              "Milliseconds for which a turn of the cloud's loop keeps it busy");
  line.option(
          "--seeds",
          [&o](const std::string& text) -> Result<> {
            TRY(o.seeds, parse_seeds(text));
            return {};
          },
          "Many seeds, over all cores, until one fails")
      .value_name("FIRST..LAST")
      .excludes("--seed");
  add_setting(line, "--jobs", o.jobs, size_t{1}, size_t{1024}, "Of --seeds: how many at once");
  line.choice<bool>("-o,--output", o.json, {{"table", false}, {"json", true}}, "Format");
  add_log_settings(line, o.log);
}

int run_one(const Options& o) {
  SimResult result;
  {
    ProgressBar bar;
    Simulation simulation(o.settings);
    result = simulation.run([&](double share) { bar.show(share); });
  }
  if (o.json) {
    fmt::print("{}\n", json::serialize(result_json(o.settings, result)));
  } else {
    print_result(o.settings, result);
  }
  return result.violations.empty() ? 0 : 1;
}

// The same command for one seed.
std::string replay_line(int argc, char** argv, uint64_t seed) {
  std::string out = "mesclun sim";
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool ours = word.starts_with("--seeds") || word.starts_with("--jobs");
    if (!ours) out += fmt::format(" {}", word);
    if (ours && word.find('=') == std::string_view::npos) ++i;
  }
  return out + fmt::format(" --seed {}", seed);
}

int run_many(const Options& o, int argc, char** argv) {
  const SeedRange seeds = *o.seeds;
  const auto count = static_cast<double>(seeds.last - seeds.first) + 1;
  const auto run = [&o](uint64_t seed) {
    SimSettings settings = o.settings;
    settings.seed = seed;
    return Simulation(settings).run([](double) {});
  };
  Result<SweepResult> swept = SweepResult{};
  {
    ProgressBar bar;
    bar.show(0);
    swept = sweep(seeds, o.jobs, run,
                  [&](uint64_t done) { bar.show(static_cast<double>(done) / count); });
  }
  if (!swept) {
    fmt::print(stderr, "mesclun sim: {}\n", swept.error().message);
    return 1;
  }
  const auto& failed = swept->failed;
  const std::string replay = failed ? replay_line(argc, argv, failed->seed) : "";
  if (o.json) {
    json::object out{{"seeds", fmt::format("{}..{}", seeds.first, seeds.last)},
                     {"passed", swept->passed},
                     {"checks", swept->checks}};
    if (failed) {
      out["failed_seed"] = failed->seed;
      out["violations"] = write_json(failed->violations);
      out["replay"] = replay;
    }
    fmt::print("{}\n", json::serialize(out));
  } else if (failed) {
    fmt::print("seed {} failed, after {} without a violation:\n", failed->seed, swept->passed);
    for (const std::string& violation : failed->violations) fmt::print("  {}\n", violation);
    fmt::print("replay it with\n  {}\n", replay);
  } else {
    fmt::print("{} seeds without a violation, {} checks\n", swept->passed, swept->checks);
  }
  return failed ? 1 : 0;
}

}  // namespace

int run_sim_command(int argc, char** argv) {
  Options o;
  CommandLine line(
      "The real planner, fleet loop, sessions and agents over a simulated fleet, in virtual time:\n"
      "machines that vanish, lost and late messages, partitions, restarts of the cloud, a slow "
      "and\n"
      "failing store, and users. Invariants are checked throughout; at the end, after the faults "
      "have\n"
      "stopped, everything must have healed. The same seed gives the same trace.\n"
      "Example: mesclun sim --nodes 1000 --hours 24 --seed 7",
      "mesclun sim", "sim");
  add_options(line, o);
  if (const auto status = line.parse(argc, argv)) return *status;
  setup_logging(o.log);
  return o.seeds ? run_many(o, argc, argv) : run_one(o);
}

}  // namespace mesclun::sim
