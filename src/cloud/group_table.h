// The container groups; those that were deleted stay for a while as tombstones, which keep their
// name and host name taken.
#pragma once

#include <map>

#include "cloud/turn_marks.h"

namespace mesclun::cloud {

// Runs on:   the fleet loop; between turns anybody on the cloud's loop may read.
// Invariant: every index is what a scan over all() would give. A row is changed only by add() and
//            change(), which keep the indexes and the marks.
// Lifetime:  marks outlive it. Pointers to rows stay valid until restore() or erase().
class GroupTable {
 public:
  explicit GroupTable(TurnMarks& marks) : marks_(marks) {}

  // In place of everything; marks nothing.
  void restore(std::vector<Group> groups);
  // The name must not be taken.
  const Group& add(Group group);
  // `edit` gets the row as Group&; it leaves ids, names and dns as they are.
  template <class Edit>
  const Group& change(const std::string& id, Edit edit) {
    Group& group = groups_.at(id);
    const bool was_live = group.delete_time == 0;
    const int32_t replicas_before = replicas_counted(group);
    const int64_t look_before = look_time(group);
    edit(group);
    reindex(group, was_live, replicas_before, look_before);
    mark(group);
    return group;
  }

  // A tombstone; its name and host name are free again.
  void erase(const std::string& id);
  // When the tombstone that was deleted first was; 0: there is none. And those deleted until then,
  // at most `max`, oldest first.
  int64_t first_tombstone() const { return tombstones_.empty() ? 0 : tombstones_.begin()->first; }
  std::vector<std::string> tombstones_until(int64_t time, size_t max) const;

  const Group* find(const std::string& id) const;
  const Group& at(const std::string& id) const { return groups_.at(id); }
  const std::map<std::string, Group>& all() const { return groups_; }
  // Null for a tombstone too; one that is being deleted is found.
  const Group* find_named(const std::string& project_id, const std::string& name) const;
  // Tombstones too; null for a name that is free.
  const Group* holder_of(const std::string& project_id, const std::string& name) const;
  bool is_dns_taken(const std::string& dns) const { return dns_.contains(dns); }
  // Null for a host name that no group has.
  const Group* find_host(const std::string& dns) const;
  // Group ids by host name.
  const std::map<std::string, std::string>& hosts() const { return dns_; }
  // Those that are not deleted, by name.
  std::vector<const Group*> of_project(const std::string& project_id) const;
  // What counts against an organization's quota: of all groups that are not deleted, stopped or
  // not; the most that an autoscaler may make of them.
  int32_t replicas_of(const std::string& organization_id) const;
  // Groups whose update is to be looked at by now, and when the next one is; 0: none.
  std::set<std::string> updates_due(int64_t now) const;
  int64_t first_update_due() const { return looks_.empty() ? 0 : looks_.begin()->first; }

 private:
  using ProjectName = std::pair<std::string, std::string>;  // project id, name

  static int32_t replicas_counted(const Group& group);
  void index(const Group& group);
  static int64_t look_time(const Group& group) {
    return group.update ? group.update->progress.look_time : 0;
  }
  void reindex(const Group& group, bool was_live, int32_t replicas_before, int64_t look_before);
  void mark(const Group& group);

  TurnMarks& marks_;
  std::map<std::string, Group> groups_;
  std::map<ProjectName, std::string> names_;  // all
  std::map<ProjectName, std::string> live_;   // not deleted
  std::map<std::string, std::string> dns_;    // group ids
  std::map<std::string, int32_t> replicas_;   // by organization, of live ones; without zeros
  std::set<std::pair<int64_t, std::string>> tombstones_;  // time of deletion, id
  std::set<std::pair<int64_t, std::string>> looks_;       // at updates: when, group
};

}  // namespace mesclun::cloud
