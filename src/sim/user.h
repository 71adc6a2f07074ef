#pragma once

#include <algorithm>

#include "cloud/fleet_groups.h"
#include "sim/ledger.h"
#include "sim/sim_cloud.h"
#include "sim/trace.h"

namespace mesclun::sim {

// Somebody with a project in the simulated cloud, who creates groups, changes them, and is never
// content; and who drains a machine now and then, as its operator would.
//
// Runs on: the simulation's loop.
class User {
 public:
  User(Clock& clock, Random& random, Trace& trace, size_t nodes, SimCloud& cloud, Ledger& ledger);

  Task<Result<>> sign_up(cloud::Accounts& accounts);
  // For ever: one command after the other.
  Task<Result<>> act();

  uint64_t commands() const { return commands_; }
  // A command ended as none may.
  bool failed() const { return failed_; }

 private:
  Task<Result<>> create_group();
  Task<Result<>> command();
  Task<Result<>> drain_a_node();
  // What a group of this fleet may reasonably have.
  size_t replicas_max() const { return std::clamp<size_t>(nodes_ / 10, 5, 60); }

  Clock& clock_;
  Random& random_;
  Trace& trace_;
  const size_t nodes_;
  SimCloud& cloud_;
  Ledger& ledger_;
  cloud::ProjectIdentity project_;
  int group_number_ = 0;
  uint64_t commands_ = 0;
  bool failed_ = false;
};

}  // namespace mesclun::sim
