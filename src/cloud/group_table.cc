#include "cloud/group_table.h"

namespace mesclun::cloud {

int32_t GroupTable::replicas_counted(const Group& group) {
  if (group.delete_time != 0) return 0;
  return group.spec.queue_autoscaler ? group.spec.queue_autoscaler->max_replicas
                                     : group.spec.replicas;
}

void GroupTable::restore(std::vector<Group> groups) {
  groups_.clear();
  names_.clear();
  live_.clear();
  dns_.clear();
  replicas_.clear();
  tombstones_.clear();
  looks_.clear();
  for (Group& row : groups) index(groups_[row.id] = std::move(row));
}

const Group& GroupTable::add(Group group) {
  const std::string id = group.id;
  const Group& added = groups_[id] = std::move(group);
  index(added);
  mark(added);
  return added;
}

void GroupTable::index(const Group& group) {
  names_[{group.project_id, group.spec.name}] = group.id;
  if (!group.dns.empty()) dns_[group.dns] = group.id;
  reindex(group, false, 0, 0);
}

// What an edit can change.
void GroupTable::reindex(const Group& group, bool was_live, int32_t replicas_before,
                         int64_t look_before) {
  if (const int64_t look = look_time(group); look != look_before) {
    if (look_before != 0) looks_.erase({look_before, group.id});
    if (look != 0) looks_.emplace(look, group.id);
  }
  const bool live = group.delete_time == 0;
  if (live && !was_live) live_[{group.project_id, group.spec.name}] = group.id;
  if (!live && was_live) live_.erase({group.project_id, group.spec.name});
  if (group.gone) tombstones_.emplace(group.delete_time, group.id);
  const int32_t more = replicas_counted(group) - replicas_before;
  if (more == 0) return;
  const auto used = replicas_.try_emplace(group.organization_id, 0).first;
  used->second += more;
  if (used->second == 0) replicas_.erase(used);
}

void GroupTable::mark(const Group& group) {
  marks_.groups.insert(group.id);
  marks_.routes.insert(group.id);
  marks_.review.insert(group.id);
}

void GroupTable::erase(const std::string& id) {
  const auto found = groups_.find(id);
  const Group& group = found->second;
  names_.erase({group.project_id, group.spec.name});
  dns_.erase(group.dns);
  tombstones_.erase({group.delete_time, id});
  marks_.groups.insert(id);
  if (!group.dns.empty()) marks_.free_hosts.insert(group.dns);
  marks_.review.erase(id);
  marks_.seek.erase(id);
  groups_.erase(found);
}

std::vector<std::string> GroupTable::tombstones_until(int64_t time, size_t max) const {
  std::vector<std::string> out;
  for (const auto& [deleted, id] : tombstones_) {
    if (deleted > time || out.size() == max) break;
    out.push_back(id);
  }
  return out;
}

const Group* GroupTable::find(const std::string& id) const {
  const auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : &found->second;
}

const Group* GroupTable::holder_of(const std::string& project_id, const std::string& name) const {
  const auto found = names_.find({project_id, name});
  return found == names_.end() ? nullptr : &groups_.at(found->second);
}

const Group* GroupTable::find_named(const std::string& project_id, const std::string& name) const {
  const Group* group = holder_of(project_id, name);
  return group == nullptr || group->gone ? nullptr : group;
}

const Group* GroupTable::find_host(const std::string& dns) const {
  const auto found = dns_.find(dns);
  return found == dns_.end() ? nullptr : &groups_.at(found->second);
}

std::vector<const Group*> GroupTable::of_project(const std::string& project_id) const {
  std::vector<const Group*> out;
  for (auto entry = live_.lower_bound({project_id, ""});
       entry != live_.end() && entry->first.first == project_id; ++entry) {
    out.push_back(&groups_.at(entry->second));
  }
  return out;
}

std::set<std::string> GroupTable::updates_due(int64_t now) const {
  std::set<std::string> out;
  for (const auto& [time, id] : looks_) {
    if (time > now) break;
    out.insert(id);
  }
  return out;
}

int32_t GroupTable::replicas_of(const std::string& organization_id) const {
  const auto found = replicas_.find(organization_id);
  return found == replicas_.end() ? 0 : found->second;
}

}  // namespace mesclun::cloud
