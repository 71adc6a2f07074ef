// Every event of a node is stored once: what was told and acknowledged, held against the store.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cloud/fleet.h"
#include "sim/violations.h"

namespace mesclun::sim {

// Runs on: the simulation's loop.
class EventAudit {
 public:
  // A node tells the cloud an event. `taken`: of a group that has a replica there; what is said of
  // others may be refused. What was acknowledged is decided, however often it is told again: the word
  // of it may have been lost on the way.
  void told(const std::string& machine_id, const link::InstanceEvent& event, bool taken);
  // Before the first report of a session, in which a node tells again what was not acknowledged. What
  // it does not tell again went with the power of its machine.
  void tells_again(const std::string& machine_id);
  // The cloud told the node that it has everything up to there.
  void acknowledged(const std::string& machine_id, int64_t sequence);

  // At the end, with all that is stored.
  void check(const std::vector<cloud::Event>& stored, const cloud::Fleet& fleet,
             Violations& violations) const;

 private:
  struct Told {
    std::string group_id;
    std::string instance_id;
    std::string name;
    int64_t time = 0;
  };
  using Sequence = std::pair<std::string, int64_t>;  // machine, sequence

  std::map<Sequence, Told> told_;
  std::map<std::string, int64_t> acknowledged_;
};

}  // namespace mesclun::sim
