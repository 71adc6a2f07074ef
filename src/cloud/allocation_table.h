// The replicas of all groups: placed, waiting, ending and lost.
#pragma once

#include <deque>
#include <map>

#include "cloud/turn_marks.h"

namespace mesclun::cloud {

// How the allocations of one group stand.
struct GroupTally {
  int32_t members = 0;
  int32_t counted = 0;  // as replicas
  int32_t done = 0;     // and counted
  int32_t failed = 0;   // among the done
  // Neither lost nor done, by state: what people see as instances.
  int32_t allocating = 0;
  int32_t creating = 0;
  int32_t running = 0;
  int32_t stopping = 0;

  bool operator==(const GroupTally&) const = default;
  GroupTally& operator+=(const GroupTally& more);
  GroupTally& operator-=(const GroupTally& less);
};
// What one allocation adds to its group's.
GroupTally tally_of(const Allocation& allocation);

// Runs on:   the fleet loop; between turns anybody on the cloud's loop may read.
// Invariant: every index is what a scan over all() would give. A row is changed only by add(),
//            change() and erase(), which keep the indexes and the marks: a node is to be told when
//            what it would be told differs, a route when the gateways would see a difference.
// Lifetime:  marks outlive it. References to a row stay valid until its erase() or restore(); those
//            to an index only until the next change.
class AllocationTable {
 public:
  using Ids = std::set<std::string>;

  explicit AllocationTable(TurnMarks& marks) : marks_(marks) {}

  // In place of everything; marks nothing.
  void restore(std::vector<Allocation> allocations);
  const Allocation& add(Allocation allocation);
  // `edit` gets the row as Allocation&; it leaves id, slot, group and create_time as
  // they are.
  template <class Edit>
  const Allocation& change(const std::string& id, Edit edit) {
    Allocation& allocation = allocations_.at(id);
    const Before before(allocation);
    edit(allocation);
    reindex(allocation, before);
    return allocation;
  }
  void erase(const std::string& id);

  const Allocation* find(const std::string& id) const;
  const Allocation& at(const std::string& id) const { return allocations_.at(id); }
  const std::map<std::string, Allocation>& all() const { return allocations_; }
  // By the id of the current run. Nodes make these ids: one may say what is another's.
  std::vector<const Allocation*> of_instance(const std::string& instance_id) const;
  const Ids& of_group(const std::string& group_id) const;
  const Ids& on_node(const std::string& node_id) const { return ids_in(by_node_, node_id); }
  // Whether a replica of the group has left the node lately: one of the last 20,000 in all, since the
  // start. The node may still have something to say of it.
  bool was_on(const std::string& node_id, const std::string& group_id) const;
  const Ids& of_slot(const std::string& slot) const { return ids_in(by_slot_, slot); }
  // Without a node, by group; the oldest first: since when (unix ns), and the id.
  using Line = std::set<std::pair<int64_t, std::string>>;
  const std::map<std::string, Line>& waiting() const { return waiting_; }
  const Line& waiting_of(const std::string& group_id) const;
  const GroupTally& tally(const std::string& group_id) const;
  // By the time at which they leave at the latest (unix ns).
  const Line& leaving() const { return leaving_; }

 private:
  using Index = std::map<std::string, Ids>;
  struct Members {
    Ids ids;
    GroupTally tally;
  };
  // What indexes and marks are made of.
  struct Before {
    explicit Before(const Allocation& allocation);
    std::string node_id;
    std::string instance_id;
    link::ReplicaWish wish;
    Share share;
    std::string gpu;
    GroupTally tally;
    int64_t leave_by;  // 0: it is not leaving
    bool wanted;
    bool done;
    bool serves;
  };

  static const Ids& ids_in(const Index& index, const std::string& key);
  void index(const Allocation& allocation);
  void reindex(const Allocation& allocation, const Before& before);
  void move(const Allocation& allocation, const std::string& from);
  void note_left(const std::string& node_id, const std::string& group_id);
  void wait(const Allocation& allocation);
  void end_wait(const Allocation& allocation);

  TurnMarks& marks_;
  std::map<std::string, Allocation> allocations_;
  std::map<std::string, Members> by_group_;
  Index by_node_;
  Index by_slot_;
  std::set<std::pair<std::string, std::string>> by_instance_;  // instance id, allocation id
  std::map<std::string, Line> waiting_;
  Line leaving_;
  std::deque<std::pair<std::string, std::string>> left_;  // (node, group), oldest first
  std::map<std::pair<std::string, std::string>, size_t> left_counts_;  // how often in left_
};

}  // namespace mesclun::cloud
