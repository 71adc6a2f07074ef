// What the cloud has acknowledged to its users, held against what it has afterwards.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "cloud/fleet.h"
#include "sim/violations.h"

namespace mesclun::sim {

// One user, whose commands come one after the other, writes down what was answered. Nobody else
// changes what groups are to be, so it must be so until the next command, whatever fails or is
// restarted.
//
// Runs on: the simulation's loop.
class Ledger {
 public:
  Ledger(Clock& clock, Violations& violations) : clock_(clock), violations_(violations) {}

  // A command is on its way: from here to its answer nothing is known.
  void begin() { asking_ = true; }
  // The command on its way takes the group off the node.
  void reallocates(const std::string& group_id, const std::string& node_id) {
    leaving_ = Leaving{{group_id, node_id}, clock_.wall_now()};
  }
  // It lets the group go back wherever it was sent away from; from now on that may be so.
  void lifts(const std::string& group_id) {
    std::erase_if(away_, [&](const auto& away) { return away.first.first == group_id; });
  }
  // Without error what the fleet (null: the cloud is down again) says now is what the user may rely
  // on; a refusal changes nothing; after Unavailable the command may have been carried out or not,
  // and after Cancelled it may still be.
  void answered(const Result<>& answer, const cloud::Fleet* fleet);
  bool asking() const { return asking_ || clock_.now() < asked_until_; }

  // Between turns.
  void check(const cloud::Fleet& fleet);
  // Until when a user has sent the group away from the node.
  bool sent_away(const std::string& group_id, const std::string& node_id) const;

 private:
  // What only users change.
  struct Wanted {
    std::string name;
    std::string spec;
    int32_t version = 0;
    bool started = false;
    bool deleted = false;
  };
  using Place = std::pair<std::string, std::string>;  // group, node

  static Wanted wanted_of(const cloud::Group& group);
  void check_group(const cloud::Fleet& fleet, const std::string& id, const Wanted& wanted);

  Clock& clock_;
  Violations& violations_;
  bool asking_ = false;
  TimePoint asked_until_{};
  struct Leaving {
    Place place;
    WallTime since;
  };
  std::optional<Leaving> leaving_;
  // Nothing: it is not known.
  std::optional<std::map<std::string, Wanted>> wanted_;
  std::set<std::string> told_;      // groups of which something was said already
  std::map<Place, WallTime> away_;  // until
};

}  // namespace mesclun::sim
