// One machine: the real agent over a driver whose containers are timers.
#pragma once

#include "agent/mortal_store.h"
#include "agent/node_agent.h"
#include "runtime/fake_driver.h"
#include "runtime/mortal_driver.h"
#include "sim/mortal_session.h"
#include "sim/network.h"
#include "sim/sim_disk.h"

namespace mesclun::sim {

// Runs on: the simulation's loop.
class SimNode {
 public:
  SimNode(size_t index, const asio::any_io_executor& executor, Clock& clock, Random& random,
          Network& network, link::NodeFacts facts, std::string join_token, StartTimes times);
  ~SimNode();

  // Power on, with an agent. Nothing if one lives; one that was killed is taken away first.
  Task<Result<>> boot();
  // The agent ends in good order, or is killed. Its containers run on.
  Task<void> stop_agent();
  Task<void> kill_agent();
  // Right before its so many next effect on disk, driver or connections; the power goes too, or not.
  void kill_before(uint64_t effect, bool power_too);
  // Until it is killed, or `when`. Cancelled.
  Task<Result<>> wait_killed(TimePoint when);
  // Every container is gone, and some of what was not flushed to the disk.
  Task<void> power_off();

  bool powered() const { return powered_; }
  // The agent runs; without it a powered machine's containers still do.
  bool agent_runs() const;
  TimePoint changed_at() const { return changed_at_; }
  size_t index() const { return index_; }
  const std::string& machine_id() const { return machine_id_; }
  const link::NodeFacts& facts() const { return facts_; }
  runtime::FakeDriver& driver() { return driver_; }
  const runtime::FakeDriver& driver() const { return driver_; }

 private:
  // An agent's, from its start to its end.
  struct Life;
  Task<void> bury();

  size_t index_;
  asio::any_io_executor executor_;
  Clock& clock_;
  Random& random_;
  Network& network_;
  link::NodeFacts facts_;
  std::string join_token_;
  SimDisk disk_;
  runtime::FakeDriver driver_;
  Kernel kernel_;
  std::unique_ptr<Life> life_;
  std::string machine_id_;
  bool powered_ = false;
  TimePoint changed_at_{};
};

// Of which allocation this is a run; empty: the agent did not say.
std::string allocation_of(const runtime::RunSpec& run);

// Facts of a plausible fleet: consumer machines of several sizes in several countries.
link::NodeFacts random_facts(Random& random, size_t index);

}  // namespace mesclun::sim
