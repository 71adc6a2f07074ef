// What must hold in a cloud whatever happens. They look from outside: at the fleet's state between
// two turns and at what really runs on the machines.
#pragma once

#include <map>
#include <set>

#include "cloud/fleet.h"
#include "sim/sim_node.h"
#include "sim/violations.h"

namespace mesclun::sim {

class Checkers {
 public:
  Checkers(Clock& clock, Violations& violations) : clock_(clock), violations_(violations) {}

  // Throughout, between two turns of the fleet loop: numbers of replicas right, no rule of placement
  // broken, no exclusion violated, sums as a scan gives them, and nobody waits who has room.
  void check_fleet(const cloud::Fleet& fleet);
  // Throughout: never two started copies of one replica for longer than the grace, counted from the
  // moment at which both machines can hear the cloud.
  void check_copies(const cloud::Fleet& fleet, const std::vector<std::unique_ptr<SimNode>>& nodes,
                    const Network& network, bool cloud_up);
  // After the faults have stopped and time has passed: all that fits serves, nothing else runs.
  void check_healed(const cloud::Fleet& fleet, const std::vector<std::unique_ptr<SimNode>>& nodes);

  uint64_t checks() const { return checks_; }

 private:
  void violated(std::string text) { violations_.add(std::move(text)); }
  void check_sums(const cloud::Fleet& fleet);
  void check_waiting(const cloud::Fleet& fleet);
  void check_update(const cloud::Fleet& fleet, const cloud::Group& group);
  bool starts_now(const cloud::Allocation& allocation) const;

  Clock& clock_;
  Violations& violations_;
  std::map<std::string, TimePoint> waits_with_room_;  // group, since when
  std::map<std::string, std::string> slot_of_;        // allocation -> slot, also of past ones
  std::map<std::string, TimePoint> doubled_since_;    // slot
  uint64_t checks_ = 0;
};

}  // namespace mesclun::sim
