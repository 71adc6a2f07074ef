// What a turn of the fleet may do to what runs and waits, seen from outside: what was before, what
// is now, and what machines and users have said.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "sim/ears.h"
#include "sim/ledger.h"

namespace mesclun::sim {

// Runs on:  the simulation's loop.
// Lifetime: what the constructor gets outlives it.
class TurnChecker {
 public:
  // Whether the application of this run runs on the machine.
  using Runs = std::function<bool(const std::string& node_id, const std::string& instance_id)>;

  TurnChecker(Clock& clock, const Ears& ears, const Ledger& ledger, Violations& violations,
              Runs runs)
      : clock_(clock),
        ears_(ears),
        ledger_(ledger),
        violations_(violations),
        runs_(std::move(runs)) {}

  // A cloud has begun to live, which counts silence from here. What was decided before and not seen
  // is none of its.
  void cloud_started(const cloud::Fleet& fleet, TimePoint since);
  // What was seen last was not stored, and is not so.
  void forget();
  // Right after a turn was decided, whether it will be stored or not. `succeeded`: allocations that
  // nodes said have succeeded.
  void look(const cloud::Fleet& fleet, const std::set<std::string>& succeeded);

  uint64_t looks() const { return looks_; }

 private:
  struct AllocationBefore {
    std::string group_id;
    std::string node_id;
    std::string instance_id;
    int32_t run = 0;
    bool counts = false;
    bool lost = false;
    bool serves = false;
    bool updating = false;  // its group is on the way to a new version
  };
  // What only users change.
  struct GroupBefore {
    int32_t version = 0;
    int32_t replicas = 0;
    int64_t start_time = 0;
    bool stopped = false;
    bool deleted = false;
    bool operator==(const GroupBefore&) const = default;
  };
  struct Done {
    std::string slot;
    std::string group_id;
    GroupBefore group;
  };

  static AllocationBefore before_of(const cloud::Fleet& fleet, const cloud::Allocation& allocation);
  static GroupBefore before_of(const cloud::Group& group);
  void check_lost(const cloud::Allocation& now);
  // Where it is, and who had to come before it.
  void check_placed(const cloud::Fleet& fleet, const cloud::Allocation& placed,
                    const std::set<std::string>& placed_now);
  void check_interrupted(const cloud::Fleet& fleet, const std::string& id,
                         const AllocationBefore& before);
  void check_shrunk(const cloud::Fleet& fleet, const cloud::Group& group);
  void check_succeeded(const cloud::Fleet& fleet);
  void check_done(const cloud::Fleet& fleet);
  void remember(const cloud::Fleet& fleet);
  bool is_unchanged(const cloud::Fleet& fleet, const std::string& group_id) const;

  Clock& clock_;
  const Ears& ears_;
  const Ledger& ledger_;
  Violations& violations_;
  const Runs runs_;
  TimePoint cloud_start_{};
  bool known_ = false;  // how the last turn left everything
  std::map<std::string, AllocationBefore> allocations_;
  std::map<std::string, GroupBefore> groups_;
  std::set<std::string> succeeded_;   // said so; the fleet has yet to take it in
  std::map<std::string, Done> done_;  // allocations of jobs that are done
  uint64_t looks_ = 0;
};

}  // namespace mesclun::sim
