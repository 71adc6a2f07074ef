#include "sim/sim_command.h"

#include <unistd.h>

#include "base/command_line.h"
#include "sim/simulation.h"

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
  out["cloud_restarts"] = result.cloud_restarts;
  out["container_starts"] = result.starts;
  out["serving"] = result.serving;
  out["waiting"] = result.waiting;
  out["violations"] = write_json(result.violations);
  return out;
}

void print_result(const SimSettings& settings, const SimResult& result) {
  fmt::print("{} nodes, {} h of faults and {} h to heal, seed {}\n", settings.nodes, settings.hours,
             settings.heal_hours, settings.seed);
  fmt::print("node faults      {}\n", result.node_faults);
  fmt::print("cloud restarts   {}\n", result.cloud_restarts);
  fmt::print("user commands    {}\n", result.commands);
  fmt::print("container starts {}\n", result.starts);
  fmt::print("at the end       {} serve, {} wait for a node\n", result.serving, result.waiting);
  fmt::print("checks           {}\n", result.checks);
  fmt::print("trace            {:016x} over {} events\n", result.trace_hash, result.events);
  fmt::print("violations       {}\n", result.violations.size());
  for (const std::string& violation : result.violations) fmt::print("  {}\n", violation);
}

}  // namespace

int run_sim_command(int argc, char** argv) {
  SimSettings settings;
  LogSettings log{.level = LogLevel::Off};
  bool json = false;
  CommandLine line(
      "The real planner, fleet loop, sessions and agents over a simulated fleet, in virtual time:\n"
      "machines that vanish, lost and late messages, partitions, restarts of the cloud, a slow "
      "and\n"
      "failing store, and users. Invariants are checked throughout; at the end, after the faults "
      "have\n"
      "stopped, everything must have healed. The same seed gives the same trace.\n"
      "Example: mesclun sim --nodes 1000 --hours 24 --seed 7",
      "mesclun sim");
  add_setting(line, "--nodes", settings.nodes, size_t{1}, size_t{100'000}, "Machines");
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
  add_setting(line, "--store-failures", settings.faults.store_failure_chance, 0.0, 1.0,
              "Chance of a commit to fail");
  add_setting(line, "--store-slow", settings.faults.store_slow_chance, 0.0, 1.0,
              "Chance of a commit to take 0.2 to 5 s");
  add_setting(line, "--cloud-restarts", settings.faults.cloud_restarts_per_hour, 0.0, 100.0,
              "Restarts of the cloud an hour");
  line.choice<bool>("-o,--output", json, {{"table", false}, {"json", true}}, "Format");
  add_log_settings(line, log);
  if (const auto status = line.parse(argc, argv)) return *status;
  setup_logging(log);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  Simulation simulation(settings);
  int last = -1;
  const SimResult result = simulation.run([&](double share) {
    const int percent = static_cast<int>(share * 100);
    if (!terminal || percent == last) return;
    last = percent;
    fmt::print(stderr, "\r[{:<50}] {:3} %", std::string(static_cast<size_t>(percent / 2), '#'),
               percent);
  });
  if (terminal) fmt::print(stderr, "\n");
  if (json) {
    fmt::print("{}\n", json::serialize(result_json(settings, result)));
  } else {
    print_result(settings, result);
  }
  return result.violations.empty() ? 0 : 1;
}

}  // namespace mesclun::sim
