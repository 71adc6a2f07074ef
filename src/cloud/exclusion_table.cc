#include "cloud/exclusion_table.h"

namespace mesclun::cloud {

void ExclusionTable::restore(const std::vector<Exclusion>& exclusions) {
  by_group_.clear();
  by_end_.clear();
  for (const Exclusion& exclusion : exclusions) insert(exclusion);
}

void ExclusionTable::add(const Exclusion& exclusion) {
  const auto found = by_group_.find({exclusion.group_id, exclusion.node_id});
  if (found != by_group_.end()) {
    if (exclusion.until <= found->second.until) return;
    by_end_.erase({found->second.until, exclusion.node_id, exclusion.group_id});
  }
  insert(exclusion);
  marks_.exclusions.push_back(exclusion);
  marks_.offers.insert(exclusion.node_id);
}

void ExclusionTable::insert(const Exclusion& exclusion) {
  by_group_[{exclusion.group_id, exclusion.node_id}] = exclusion;
  by_end_.emplace(exclusion.until, exclusion.node_id, exclusion.group_id);
}

void ExclusionTable::forget_ended(int64_t now) {
  while (!by_end_.empty()) {
    const auto& [until, node_id, group_id] = *by_end_.begin();
    if (until > now) return;
    by_group_.erase({group_id, node_id});
    marks_.offers.insert(node_id);
    by_end_.erase(by_end_.begin());
  }
}

void ExclusionTable::lift(const std::string& group_id, const std::string& node_id) {
  const auto found = by_group_.find({group_id, node_id});
  if (found == by_group_.end()) return;
  Exclusion lifted = std::move(found->second);
  by_group_.erase(found);
  by_end_.erase({lifted.until, lifted.node_id, lifted.group_id});
  lifted.until = 0;
  marks_.offers.insert(lifted.node_id);
  marks_.exclusions.push_back(std::move(lifted));
}

void ExclusionTable::lift_all(const std::string& group_id, bool only_failures) {
  std::vector<std::string> nodes;
  for (const Exclusion* exclusion : of_group(group_id)) {
    if (exclusion->by_failure || !only_failures) nodes.push_back(exclusion->node_id);
  }
  for (const std::string& node_id : nodes) lift(group_id, node_id);
}

bool ExclusionTable::holds(const std::string& group_id, const std::string& node_id,
                           int64_t now) const {
  const auto found = by_group_.find({group_id, node_id});
  return found != by_group_.end() && found->second.until > now;
}

std::vector<const Exclusion*> ExclusionTable::of_group(const std::string& group_id) const {
  std::vector<const Exclusion*> out;
  for (auto entry = by_group_.lower_bound({group_id, ""});
       entry != by_group_.end() && entry->first.first == group_id; ++entry) {
    out.push_back(&entry->second);
  }
  return out;
}

}  // namespace mesclun::cloud
