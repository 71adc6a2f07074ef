// One machine: the real agent over a driver whose containers are timers.
#pragma once

#include "agent/node_agent.h"
#include "agent/state_store.h"
#include "runtime/fake_driver.h"
#include "sim/network.h"

namespace mesclun::sim {

// Runs on: the simulation's loop.
class SimNode {
 public:
  SimNode(size_t index, const asio::any_io_executor& executor, Clock& clock, Random& random,
          Network& network, link::NodeFacts facts, std::string join_token, StartTimes times);

  // Power on, power off (every container is gone), a crash of the agent (they run on).
  Task<Result<>> boot();
  Task<void> power_off();
  Task<void> crash_agent();

  bool powered() const { return powered_; }
  // The agent runs; without it a powered machine's containers still do.
  bool agent_runs() const { return agent_ != nullptr; }
  TimePoint changed_at() const { return changed_at_; }
  size_t index() const { return index_; }
  const std::string& machine_id() const { return machine_id_; }
  const link::NodeFacts& facts() const { return facts_; }
  runtime::FakeDriver& driver() { return driver_; }
  const runtime::FakeDriver& driver() const { return driver_; }

 private:
  size_t index_;
  asio::any_io_executor executor_;
  Clock& clock_;
  Random& random_;
  link::NodeFacts facts_;
  std::string join_token_;
  NodeDialer dialer_;
  agent::MemoryStateStore store_;
  runtime::FakeDriver driver_;
  std::unique_ptr<agent::NodeAgent> agent_;
  std::string machine_id_;
  bool powered_ = false;
  TimePoint changed_at_{};
};

// Facts of a plausible fleet: consumer machines of several sizes in several countries.
link::NodeFacts random_facts(Random& random, size_t index);

}  // namespace mesclun::sim
