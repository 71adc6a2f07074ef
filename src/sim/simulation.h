// The real control plane and the real agents over a simulated fleet, in virtual time.
#pragma once

#include "base/virtual_clock.h"
#include "sim/checkers.h"
#include "sim/sim_database.h"
#include "sim/sim_gateway.h"
#include "sim/turn_checker.h"
#include "sim/user.h"

namespace mesclun::sim {

struct SimSettings {
  size_t nodes = 1000;
  size_t gateways = 2;
  double hours = 6;       // of chaos; healing comes on top
  double heal_hours = 3;  // without faults, then everything must be well
  uint64_t seed = 1;
  Faults faults;
  StartTimes starts;
  double turn_cost_ms = 5;  // of the cloud's core, for each turn that stores something
};

struct SimResult {
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  uint64_t checks = 0;
  uint64_t commands = 0;  // of simulated users
  uint64_t node_faults = 0;
  uint64_t gateway_faults = 0;
  uint64_t cloud_restarts = 0;
  uint64_t cloud_stalls = 0;
  uint64_t starts = 0;  // of containers
  size_t serving = 0;   // at the end
  size_t waiting = 0;   // at the end: no node is left for them
  size_t done = 0;      // at the end: jobs that came to theirs
  std::vector<std::string> violations;
};

// Runs on: the caller's thread, which is the only one. First chaos, then heal: safety is checked
// throughout, progress at the end.
class Simulation {
 public:
  explicit Simulation(SimSettings settings);
  ~Simulation();

  // `progress` is called with the share done, now and then.
  SimResult run(const std::function<void(double)>& progress);

 private:
  void build();
  Task<Result<>> trouble_cloud();
  Task<Result<>> end_cloud();
  Task<Result<>> stall_cloud();
  Task<Result<>> trouble_node(SimNode& node);
  Task<Result<>> end_agent(SimNode& node);
  Task<Result<>> trouble_gateway(SimGateway& gateway);
  Task<Result<>> boot_node(SimNode& node, Duration after);
  Task<Result<>> watch();
  Task<Result<>> heal();
  Task<Result<>> shut_down();
  void look_at_turn();
  Task<Result<>> check_events();
  bool is_placed_on(const std::string& node_id, const std::string& group_id);
  bool runs_on(const std::string& node_id, const std::string& instance_id) const;
  void digest();
  void run_until(TimePoint end, const std::function<void(double)>& progress, double from,
                 double to);
  void run_to_end(Task<Result<>> task);

  const SimSettings settings_;
  Faults faults_;
  asio::io_context io_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};  // one thread: without locks
  VirtualClock clock_{io_};
  SeededRandom random_;
  Trace trace_{clock_};
  Violations violations_{clock_};
  Ears ears_;
  Ledger ledger_{clock_, violations_};
  Checkers checkers_{clock_, violations_};
  TurnChecker turns_;
  std::unique_ptr<store::Database> real_database_;
  std::unique_ptr<store::Database> log_database_;
  std::unique_ptr<SimDatabase> database_;
  Network network_;
  std::unique_ptr<SimCloud> cloud_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimGateway>> gateways_;
  std::unique_ptr<User> user_;
  SimResult result_;
  bool failed_ = false;
  Scope chaos_;
  Scope watcher_;
};

}  // namespace mesclun::sim
