// What the cloud knows of groups, replicas and machines, as plain records. Each is stored as one
// document beside the columns that are searched.
#pragma once

#include "api/container_group.h"
#include "api/instance.h"
#include "cloud/update_limit.h"
#include "link/messages.h"

namespace mesclun::cloud {

// The same instant on both clocks.
struct Moment {
  TimePoint steady;  // listening_clock.h: stalls of the cloud are left out
  WallTime wall;
};

// The spec of an older version that instances still carry.
struct FormerSpec {
  int32_t version = 1;
  api::GroupSpec spec;
};
BOOST_DESCRIBE_STRUCT(FormerSpec, (), (version, spec))

// A version that a group had before.
struct GroupVersion {
  std::string group_id;
  int32_t version = 1;
  int64_t begin_time = 0;
  std::string changes;  // what it changed, for people
  api::GroupSpec spec;
};
BOOST_DESCRIBE_STRUCT(GroupVersion, (), (group_id, version, begin_time, changes, spec))

// How far an update is. Times are unix nanoseconds.
struct UpdateProgress {
  int32_t served = 0;         // the most instances that served with the new version so far
  int64_t progress_time = 0;  // it began, or one more served
  int32_t failures = 0;       // of the group, as they were then
  int64_t look_time = 0;      // looked at again then, whatever happens; 0: when something happens
  std::string held;           // why it does not go on, once people were told; empty: it does
  bool operator==(const UpdateProgress&) const = default;
};
BOOST_DESCRIBE_STRUCT(UpdateProgress, (), (served, progress_time, failures, look_time, held))

// A group on its way to its newest version (fleet_update.h).
struct GroupUpdate {
  std::vector<FormerSpec> former;  // oldest first; may be large
  UpdateProgress progress;
};
BOOST_DESCRIBE_STRUCT(GroupUpdate, (), (former, progress))

// A container group. Times are unix nanoseconds, 0 for never.
struct Group {
  std::string id;
  std::string organization_id;
  std::string organization_name;
  std::string project_id;
  std::string project_name;
  api::GroupSpec spec;
  std::string dns;  // empty without networking
  int32_t version = 1;
  int64_t version_time = 0;     // it began
  std::string version_changes;  // what it changed, for people
  bool started = false;         // instances are wanted
  api::GroupStatus status = api::GroupStatus::Stopped;
  std::string description;  // why it is not as wished
  int32_t failures = 0;     // in a row, since the version began or one ran for long
  int32_t restarts = 0;     // runs that ended by themselves, since the version began or a start
  std::string failure;      // the last of them, for people
  std::optional<GroupUpdate> update;          // nothing: no instance carries an older version
  std::optional<UpdateLimit> update_at_once;  // its own; nothing: the cloud's
  int64_t create_time = 0;
  int64_t update_time = 0;
  int64_t start_time = 0;
  int64_t finish_time = 0;
  int64_t delete_time = 0;  // deleted: shown until its last instance is gone, then a tombstone
  bool gone = false;        // a tombstone: only keeps name and dns taken
};
BOOST_DESCRIBE_STRUCT(Group, (),
                      (id, organization_id, organization_name, project_id, project_name, spec, dns,
                       version, version_time, version_changes, started, status, description,
                       failures, restarts, failure, update, update_at_once, create_time,
                       update_time, start_time, finish_time, delete_time, gone))

// What of a node an allocation takes or may take.
struct Share {
  int32_t cpu = 0;
  int64_t memory_mb = 0;
  int64_t storage_mb = 0;
  bool operator==(const Share&) const = default;
};
BOOST_DESCRIBE_STRUCT(Share, (), (cpu, memory_mb, storage_mb))

// One replica, placed on a node or waiting for one. Its public face is an instance, whose id
// changes with every run.
//
//   waiting (no node) -> Creating -> Running -> Stopping -> row erased
//                          any placed state -> lost (its node went silent) -> taken back, or erased
//                          serving -> leaving (its node is drained) -> Stopping
struct Allocation {
  std::string id;
  std::string slot;  // the replica across nodes: the id of its first allocation
  std::string group_id;
  std::string node_id;         // empty: waiting
  link::ReplicaWish wish;      // `stop`: to be ended; no longer counts as a replica
  link::ReplicaStatus status;  // as the node told it last; before that only the first instance id
  bool lost = false;  // its node is silent beyond the grace and its slot has another allocation
  // Leaving a drained node: serves on until the other allocation of its slot does, at most until
  // this time (unix ns). 0: stays.
  int64_t leave_by = 0;
  // Held on its node until it is done or gone. While the node does not carry out the newest version
  // yet: of each thing what the greediest of both needs.
  Share share;
  std::string gpu;  // held likewise; wish.gpu is the one that it is to use
  int64_t create_time = 0;
  int64_t update_time = 0;  // last change, by the cloud or the node
  int64_t running_since = 0;
  int64_t serving_since = 0;  // by the cloud's clock; 0: it does not serve

  bool placed() const { return !node_id.empty(); }
  bool done() const {
    return status.outcome == link::RunOutcome::Succeeded ||
           status.outcome == link::RunOutcome::Failed;
  }
  // Is to run where it is.
  bool wanted() const { return !wish.stop && !lost; }
  bool leaving() const { return leave_by != 0 && wanted(); }
  // Holds one of the group's replicas.
  bool counts() const { return wanted() && leave_by == 0; }
  api::InstanceState state() const {
    if (!placed()) return api::InstanceState::Allocating;
    if (wish.stop) return api::InstanceState::Stopping;
    switch (status.state) {
      case link::RunState::Creating:
        return status.pulled_percent ? api::InstanceState::Downloading
                                     : api::InstanceState::Creating;
      case link::RunState::Running:
        return api::InstanceState::Running;
      case link::RunState::Stopping:
      case link::RunState::Ended:
        break;
    }
    return api::InstanceState::Stopping;
  }
  // The node carries out what is wanted now.
  bool carried() const {
    return status.version == wish.version && status.run >= wish.run && status.run != 0;
  }
  bool ready() const { return wanted() && status.ready; }
  // Passed its probes, in the run that is wanted now. (A new version that needs a restart asks for
  // another run; one that does not leaves the instance in service.)
  bool serves() const {
    return ready() && !done() && status.state == link::RunState::Running && status.run >= wish.run;
  }
  // Until the node has seen what REST set, its own value is an old one.
  int32_t deletion_cost() const {
    return status.deletion_cost_change >= wish.deletion_cost_change ? status.deletion_cost
                                                                    : wish.deletion_cost;
  }
};
BOOST_DESCRIBE_STRUCT(Allocation, (),
                      (id, slot, group_id, node_id, wish, status, lost, leave_by, share, gpu,
                       create_time, update_time, running_since, serving_since))

// A machine.
struct Node {
  std::string id;  // the machine id
  std::string secret_sha256;
  link::NodeFacts facts;
  link::NodeMode mode = link::NodeMode::Active;
  bool banned = false;       // not let in again
  bool drained = false;      // by the operator: takes nothing new, and what it has moves off
  std::string trouble;       // why it can run nothing new, as it says itself; empty: it can
  int64_t acknowledged = 0;  // events up to this sequence are stored
  int64_t join_time = 0;
  int64_t last_heard_time = 0;  // wall time, as of the last change of its session

  // Not stored: learned anew after a restart of the cloud.
  struct Live {
    int64_t session = 0;    // 0: none
    bool reported = false;  // in this session
    bool silent_beyond_grace = false;
    TimePoint last_heard{};
    int64_t revision = 0;  // of the Desired that was sent last
    int64_t revision_applied = 0;
    uint64_t refused = 0;  // in this session: said about what is not placed here
  };
  Live live;

  bool online() const { return live.session != 0 && live.reported; }
};
BOOST_DESCRIBE_STRUCT(Node, (),
                      (id, secret_sha256, facts, mode, banned, drained, trouble, acknowledged,
                       join_time, last_heard_time))

// The node is not offered to the group before `until`.
struct Exclusion {
  std::string group_id;
  std::string node_id;
  int64_t until = 0;        // 0: it was lifted
  bool by_failure = false;  // of the group's there: a new version, or a start, lifts it
  std::string reason;       // for people
};

// A system event of lifecycle.md §3 with where it belongs.
struct Event {
  int64_t sequence = 0;
  std::string group_id;
  std::string resource_type;  // deployment_controller or instance_controller
  std::string instance_id;    // empty for the group's own
  std::string machine_id;
  int32_t version = 1;
  int64_t time = 0;
  std::string event_name;
  std::string detail;
};
BOOST_DESCRIBE_STRUCT(Event, (),
                      (sequence, group_id, resource_type, instance_id, machine_id, version, time,
                       event_name, detail))

// Members that are new in a version are absent from older documents.
constexpr bool json_has_default(const GroupUpdate*, std::string_view) {
  return true;
}
constexpr bool json_has_default(const Group*, std::string_view member) {
  return member != "id";
}
constexpr bool json_has_default(const Allocation*, std::string_view member) {
  return member != "id";
}
constexpr bool json_has_default(const Node*, std::string_view member) {
  return member != "id";
}

}  // namespace mesclun::cloud
