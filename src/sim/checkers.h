// What must hold in a cloud whatever happens. They look from outside: at the fleet's state between
// two turns and at what really runs on the machines.
#pragma once

#include <map>
#include <set>

#include "cloud/fleet.h"
#include "sim/sim_node.h"

namespace mesclun::sim {

class Checkers {
 public:
  explicit Checkers(Clock& clock) : clock_(clock) {}

  // Throughout: numbers of replicas right, one instance of a group per node, no node overfull, no
  // exclusion violated. `settled`: between two turns of the fleet loop.
  void check_fleet(const cloud::Fleet& fleet);
  // Throughout: never two started copies of one replica for longer than the grace, counted from the
  // moment at which both machines can hear the cloud.
  void check_copies(const cloud::Fleet& fleet, const std::vector<std::unique_ptr<SimNode>>& nodes,
                    const Network& network, bool cloud_up);
  // After the faults have stopped and time has passed: all that fits serves, nothing else runs.
  void check_healed(const cloud::Fleet& fleet, const std::vector<std::unique_ptr<SimNode>>& nodes);

  const std::vector<std::string>& violations() const { return violations_; }
  uint64_t checks() const { return checks_; }

 private:
  void violated(std::string text);
  void check_update(const cloud::Fleet& fleet, const cloud::Group& group);
  bool starts_now(const cloud::Allocation& allocation) const;

  Clock& clock_;
  std::map<std::string, std::string> slot_of_;      // allocation -> slot, also of past ones
  std::map<std::string, TimePoint> doubled_since_;  // slot
  std::vector<std::string> violations_;
  uint64_t checks_ = 0;
};

}  // namespace mesclun::sim
