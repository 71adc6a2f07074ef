// Which node is not offered to which group, and until when.
#pragma once

#include <map>
#include <tuple>

#include "cloud/turn_marks.h"

namespace mesclun::cloud {

// Runs on:   the fleet loop; between turns anybody on the cloud's loop may read.
// Time:      wall time in unix nanoseconds: an exclusion outlives a restart.
// Invariant: the index is what a scan over the entries would give. Entries are changed only
//            by add(), lift() and forget_ended().
// Lifetime:  marks outlive it.
class ExclusionTable {
 public:
  explicit ExclusionTable(TurnMarks& marks) : marks_(marks) {}

  // In place of everything; marks nothing.
  void restore(const std::vector<Exclusion>& exclusions);
  // The later end counts.
  void add(const Exclusion& exclusion);
  void forget_ended(int64_t now);
  void lift(const std::string& group_id, const std::string& node_id);
  // All of the group, or only those by its failures.
  void lift_all(const std::string& group_id, bool only_failures);

  bool holds(const std::string& group_id, const std::string& node_id, int64_t now) const;
  // By node.
  std::vector<const Exclusion*> of_group(const std::string& group_id) const;
  // When a group gets a node back; 0: none misses any.
  int64_t first_end() const { return by_end_.empty() ? 0 : std::get<0>(*by_end_.begin()); }
  size_t size() const { return by_group_.size(); }

 private:
  void insert(const Exclusion& exclusion);

  TurnMarks& marks_;
  std::map<std::pair<std::string, std::string>, Exclusion> by_group_;  // (group, node)
  std::set<std::tuple<int64_t, std::string, std::string>> by_end_;     // until, node, group
};

}  // namespace mesclun::cloud
