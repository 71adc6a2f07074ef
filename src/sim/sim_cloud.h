// The real control plane on its machine: it is started, stopped and killed.
#pragma once

#include "cloud/cloud.h"
#include "sim/mortal_session.h"
#include "sim/network.h"
#include "sim/sim_database.h"

namespace mesclun::sim {

// Runs on: the simulation's loop.
class SimCloud {
 public:
  // What outlives each life of the cloud.
  struct Parts {
    asio::any_io_executor executor;
    Clock& clock;
    Random& random;
    Network& network;
    store::Database& database;
    store::Database& log_database;
    cloud::CloudSettings settings;
    Duration turn_cost{};  // of its core, for each turn that stores something
    // Called when it runs, with the time since which it counts; null: not.
    std::function<void(cloud::Cloud&, TimePoint)> started;
    // Called where a write of the cloud begins, which for the fleet is right after a turn was
    // decided, and where one has failed; null: not.
    std::function<void()> write_begins;
    std::function<void()> write_failed;
  };

  explicit SimCloud(Parts parts);
  ~SimCloud();

  // Tries until it runs, as a service manager would; one that was killed is taken away first.
  // Nothing if it runs, but that no kill waits for it any more. Cancelled.
  Task<Result<>> start();
  Task<void> stop();
  // The process, or the machine with it: then peers hear nothing until the next start.
  void kill(bool machine_too);
  // Right before its so many next effect: on the database, on connections, an answer.
  void kill_before(uint64_t effect, bool machine_too);
  // The whole process stands still for so long, as by SIGSTOP.
  void stall(Duration length);
  // Until it is killed, or `when`. Cancelled.
  Task<Result<>> wait_killed(TimePoint when);

  // Null while it is down.
  cloud::Cloud* running();
  // As somebody calls it over the network. Unavailable: it is down, or went down before it
  // answered; what was asked may have been done.
  Task<Result<>> submit(cloud::FleetLoop::Command command);

 private:
  // From a start to the end.
  struct Life;
  Task<Result<>> start_once();
  static Task<Result<>> call(Life& life, cloud::FleetLoop::Command command);
  Task<void> bury();
  void on_kill();

  const Parts parts_;
  Kernel kernel_;
  std::shared_ptr<Life> life_;
};

}  // namespace mesclun::sim
