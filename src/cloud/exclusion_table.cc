#include "cloud/exclusion_table.h"

namespace mesclun::cloud {

void ExclusionTable::restore(const std::vector<Exclusion>& exclusions) {
  by_node_.clear();
  by_group_.clear();
  by_end_.clear();
  for (const Exclusion& exclusion : exclusions) insert(exclusion);
}

void ExclusionTable::add(const Exclusion& exclusion) {
  const auto& [group_id, node_id, until] = exclusion;
  const auto found = by_node_.find({node_id, group_id});
  if (found != by_node_.end()) {
    if (until <= found->second) return;
    by_group_.erase({group_id, found->second, node_id});
    by_end_.erase({found->second, node_id, group_id});
  }
  insert(exclusion);
  marks_.exclusions.push_back(exclusion);
}

void ExclusionTable::insert(const Exclusion& exclusion) {
  const auto& [group_id, node_id, until] = exclusion;
  by_node_[{node_id, group_id}] = until;
  by_group_.emplace(group_id, until, node_id);
  by_end_.emplace(until, node_id, group_id);
}

void ExclusionTable::forget_ended(int64_t now) {
  while (!by_end_.empty()) {
    const auto& [until, node_id, group_id] = *by_end_.begin();
    if (until > now) return;
    by_node_.erase({node_id, group_id});
    by_group_.erase({group_id, until, node_id});
    by_end_.erase(by_end_.begin());
  }
}

bool ExclusionTable::holds(const std::string& group_id, const std::string& node_id,
                           int64_t now) const {
  const auto found = by_node_.find({node_id, group_id});
  return found != by_node_.end() && found->second > now;
}

std::set<std::string> ExclusionTable::of_node(const std::string& node_id, int64_t now) const {
  std::set<std::string> out;
  for (auto entry = by_node_.lower_bound({node_id, ""});
       entry != by_node_.end() && entry->first.first == node_id; ++entry) {
    if (entry->second > now) out.insert(entry->first.second);
  }
  return out;
}

int64_t ExclusionTable::first_end(const std::string& group_id, int64_t now) const {
  const auto entry = by_group_.lower_bound({group_id, now + 1, ""});
  const bool found = entry != by_group_.end() && std::get<0>(*entry) == group_id;
  return found ? std::get<1>(*entry) : 0;
}

}  // namespace mesclun::cloud
