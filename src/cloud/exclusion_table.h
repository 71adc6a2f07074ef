// Which node is not offered to which group, and until when.
#pragma once

#include <map>
#include <tuple>

#include "cloud/turn_marks.h"

namespace mesclun::cloud {

// Runs on:   the fleet loop; between turns anybody on the cloud's loop may read.
// Time:      wall time in unix nanoseconds: an exclusion outlives a restart.
// Invariant: every index is what a scan over by-node entries would give. Entries are changed only
//            by add() and forget_ended().
// Lifetime:  marks outlive it.
class ExclusionTable {
 public:
  explicit ExclusionTable(TurnMarks& marks) : marks_(marks) {}

  // In place of everything; marks nothing.
  void restore(const std::vector<Exclusion>& exclusions);
  // The later end counts.
  void add(const Exclusion& exclusion);
  void forget_ended(int64_t now);

  bool holds(const std::string& group_id, const std::string& node_id, int64_t now) const;
  // When a group gets a node back; 0: none misses any.
  int64_t first_end() const { return by_end_.empty() ? 0 : std::get<0>(*by_end_.begin()); }
  size_t size() const { return by_node_.size(); }

 private:
  void insert(const Exclusion& exclusion);

  TurnMarks& marks_;
  std::map<std::pair<std::string, std::string>, int64_t> by_node_;  // (node, group) -> until
  std::set<std::tuple<int64_t, std::string, std::string>> by_end_;  // until, node, group
};

}  // namespace mesclun::cloud
