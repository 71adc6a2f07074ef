// What an agent remembers over its own restart: who the node is, what it was told to run, and the
// events that the cloud has not got yet. Why here and not asked from the cloud again: a node
// without a cloud keeps its instances.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "agent/next_step.h"
#include "base/file.h"

namespace mesclun::agent {

struct NodeRecord {
  std::string machine_id;  // empty: a new node
  std::string node_secret;
  link::NodeMode mode = link::NodeMode::Active;
  int64_t restarts = 0;   // of the agent
  int64_t silent_ms = 0;  // silence_rule.h
  // private_images.h: organizations by repository.
  std::map<std::string, std::vector<std::string>> private_repositories;
};
BOOST_DESCRIBE_STRUCT(NodeRecord, (),
                      (machine_id, node_secret, mode, restarts, silent_ms, private_repositories))
// Older agents did not write these.
constexpr bool json_has_default(const NodeRecord*, std::string_view member) {
  return member == "silent_ms" || member == "private_repositories";
}

// What was decided about a run, kept from before it is carried out until it was. The driver knows
// how a run ended only until it is removed, and a run that we end looks like one that failed.
struct Decision {
  bool again = false;       // another run here; else the allocation ends
  bool keep_files = false;  // again
  int64_t back_off_ms = 0;  // again
  link::RunOutcome outcome = link::RunOutcome::None;
  bool exclude_node = false;
  bool failed = false;
  std::string reason;
  std::vector<EventText> events;
  int64_t first_event = 0;  // the sequence of the first of them
  int32_t run_taken = 0;    // the wish for another run that is answered by it
};
BOOST_DESCRIBE_STRUCT(Decision, (),
                      (again, keep_files, back_off_ms, outcome, exclude_node, failed, reason,
                       events, first_event, run_taken))

// What the cloud told of one allocation, and the spec that its wish names.
struct Assignment {
  std::string allocation_id;
  std::string instance_id;  // of the first run
  link::GroupIdentity group;
  json::object spec;
  link::ReplicaWish wish;
};
BOOST_DESCRIBE_STRUCT(Assignment, (), (allocation_id, instance_id, group, spec, wish))

// One allocation and its current run.
struct AllocationRecord {
  Assignment assignment;  // the newest wish; `stop` too when the cloud left it out
  // Written with a new instance id before the driver hears of it.
  link::ReplicaStatus status;
  std::string files_of;                  // an earlier run that still waits for removal
  json::object spec;                     // of the current run
  SelfAction action = SelfAction::None;  // answered, not carried out yet
  std::string action_reason;
  std::string let_go_reason;         // this machine wants it elsewhere and is ending it
  std::vector<int64_t> quick_exits;  // unix ns of restarts in place
  std::optional<Decision> decision;  // not carried out yet
};
BOOST_DESCRIBE_STRUCT(AllocationRecord, (),
                      (assignment, status, files_of, spec, action, action_reason, let_go_reason,
                       quick_exits, decision))

struct StoredState {
  NodeRecord node;
  std::vector<AllocationRecord> allocations;
  std::vector<link::InstanceEvent> events;  // not acknowledged, in order
  int64_t next_sequence = 1;
};

// Runs on: the agent's loop; calls block for as long as the disk takes.
// Fails:   Unavailable, the disk refused (full, read-only); what was stored before stays.
class StateStore {
 public:
  virtual ~StateStore() = default;
  // Whether there is room for more. ResourceExhausted, Unavailable: the disk is full or refuses.
  virtual Result<> check() { return {}; }
  virtual Result<StoredState> load() = 0;
  virtual Result<> save_node(const NodeRecord& node) = 0;
  virtual Result<> save_allocation(const AllocationRecord& record, Durability durability) = 0;
  virtual Result<> erase_allocation(const std::string& allocation_id) = 0;
  virtual Result<> append_event(const link::InstanceEvent& event) = 0;
  // After some were acknowledged or dropped.
  virtual Result<> replace_events(std::span<const link::InstanceEvent> events,
                                  int64_t next_sequence) = 0;
};

// For tests and the simulator: outlives the agent, which may come and go.
class MemoryStateStore final : public StateStore {
 public:
  Result<> check() override;
  Result<StoredState> load() override;
  Result<> save_node(const NodeRecord& node) override;
  Result<> save_allocation(const AllocationRecord& record, Durability durability) override;
  Result<> erase_allocation(const std::string& allocation_id) override;
  Result<> append_event(const link::InstanceEvent& event) override;
  Result<> replace_events(std::span<const link::InstanceEvent> events,
                          int64_t next_sequence) override;

  // Every call fails from now on, like on a full disk.
  bool broken = false;

 private:
  NodeRecord node_;
  std::map<std::string, AllocationRecord> allocations_;
  std::vector<link::InstanceEvent> events_;
  int64_t next_sequence_ = 1;
};

}  // namespace mesclun::agent
