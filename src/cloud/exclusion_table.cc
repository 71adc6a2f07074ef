#include "cloud/exclusion_table.h"

namespace mesclun::cloud {

void ExclusionTable::restore(const std::vector<Exclusion>& exclusions) {
  by_node_.clear();
  by_end_.clear();
  for (const Exclusion& exclusion : exclusions) insert(exclusion);
}

void ExclusionTable::add(const Exclusion& exclusion) {
  const auto& [group_id, node_id, until] = exclusion;
  const auto found = by_node_.find({node_id, group_id});
  if (found != by_node_.end()) {
    if (until <= found->second) return;
    by_end_.erase({found->second, node_id, group_id});
  }
  insert(exclusion);
  marks_.exclusions.push_back(exclusion);
  marks_.offers.insert(node_id);
}

void ExclusionTable::insert(const Exclusion& exclusion) {
  const auto& [group_id, node_id, until] = exclusion;
  by_node_[{node_id, group_id}] = until;
  by_end_.emplace(until, node_id, group_id);
}

void ExclusionTable::forget_ended(int64_t now) {
  while (!by_end_.empty()) {
    const auto& [until, node_id, group_id] = *by_end_.begin();
    if (until > now) return;
    by_node_.erase({node_id, group_id});
    marks_.offers.insert(node_id);
    by_end_.erase(by_end_.begin());
  }
}

bool ExclusionTable::holds(const std::string& group_id, const std::string& node_id,
                           int64_t now) const {
  const auto found = by_node_.find({node_id, group_id});
  return found != by_node_.end() && found->second > now;
}

}  // namespace mesclun::cloud
