// Groups, replicas and machines, and every rule about them; no I/O. The fleet loop feeds it, stores
// what changed, and only then lets anybody know.
#pragma once

#include <map>
#include <set>

#include "base/ids.h"
#include "cloud/fleet_state.h"
#include "cloud/placement_planner.h"

namespace mesclun::cloud {

struct FleetSettings {
  Duration node_grace = 20s;                    // from the last sign of life to the replacement
  Duration exclusion = std::chrono::hours(48);  // after a reallocation or a bad end
  Duration retry_elsewhere = 60s;  // after an end without blame, so that another node is tried
  std::string zone = "localhost";  // groups are reached at NAME.zone
};

// Everything that is stored, for a start or a reload.
struct FleetSnapshot {
  std::vector<Group> groups;
  std::vector<Allocation> allocations;
  std::vector<Node> nodes;
  std::vector<Exclusion> exclusions;
  int64_t event_sequence = 0;
};

// What a turn of the loop changed: rows to store, and who is to be told afterwards.
struct FleetChanges {
  std::map<std::string, Group> groups;
  std::map<std::string, std::optional<Allocation>> allocations;  // nothing: erased
  std::map<std::string, Node> nodes;
  std::vector<Exclusion> exclusions;
  std::vector<Event> events;
  std::set<std::string> desired;  // nodes whose assignments changed
  std::set<std::string> routes;   // groups whose routes may have changed

  bool has_rows() const {
    return !groups.empty() || !allocations.empty() || !nodes.empty() || !exclusions.empty() ||
           !events.empty();
  }
};

// Who an organization's project is, as the accounts know it.
struct ProjectIdentity {
  std::string organization_id;
  std::string organization_name;
  std::string project_id;
  std::string project_name;
};

// Runs on: the fleet loop only; between turns anybody on the cloud's loop may read.
// Order:   maps are ordered and times are handed in, so that the same calls give the same state.
class Fleet {
 public:
  Fleet(FleetSettings settings, Random& random) : settings_(std::move(settings)), random_(random) {}

  // Forgets all but live sessions, and takes over the snapshot. Nodes count as heard at `now`.
  void restore(FleetSnapshot snapshot, Moment now);

  // ---- what people ask for (fleet_groups.cc). They check first and change nothing on an error.
  // ----
  Result<std::string> create_group(const ProjectIdentity& project, api::GroupSpec spec,
                                   int32_t replicas_quota, Moment now);
  Result<> patch_group(const std::string& group_id, const api::GroupChange& change,
                       int32_t replicas_quota, Moment now);
  Result<> start_group(const std::string& group_id, Moment now);
  Result<> stop_group(const std::string& group_id, Moment now);
  Result<> delete_group(const std::string& group_id, Moment now);
  // `instance` is an instance id or a machine id.
  Result<> reallocate(const std::string& group_id, std::string_view instance, Moment now);
  Result<> run_again(const std::string& group_id, std::string_view instance, link::RunAction action,
                     Moment now);
  Result<> set_deletion_cost(const std::string& group_id, std::string_view instance, int32_t cost,
                             Moment now);

  // ---- what machines say (fleet_nodes.cc) ----
  // A new session of a known or new node; an older session of it is void from now on.
  Result<> node_joined(const link::Hello& hello, int64_t session, Moment now);
  void node_heard(const std::string& node_id, int64_t session, Moment now);
  void node_reported(const std::string& node_id, int64_t session, const link::Report& report,
                     Moment now);
  void node_left(const std::string& node_id, int64_t session, Moment now);

  // ---- the loop's turn (fleet_reconcile.cc) ----
  // Brings what is into line with what is wanted.
  void reconcile(Moment now);
  // When reconcile() has something to do although nobody called; max() for never.
  TimePoint next_deadline(Moment now) const;
  FleetChanges take_changes();

  // ---- views (fleet_views.cc) ----
  const Group* find_group(std::string_view project_id, std::string_view name) const;
  const Group* group(const std::string& id) const;
  std::vector<const Group*> groups_of(std::string_view project_id) const;
  api::GroupFacts facts(const Group& group) const;
  std::vector<const Allocation*> instances_of(const std::string& group_id) const;
  const Allocation* find_instance(const std::string& group_id, std::string_view instance) const;
  api::Instance instance_view(const Allocation& allocation) const;
  link::Desired desired(const std::string& node_id, int64_t revision) const;
  link::Route route(const Group& group) const;
  int32_t replicas_used(std::string_view organization_id) const;
  bool is_placed_on(const std::string& group_id, const std::string& node_id) const;

  const std::map<std::string, Group>& groups() const { return groups_; }
  const std::map<std::string, Allocation>& allocations() const { return allocations_; }
  const std::map<std::string, Node>& nodes() const { return nodes_; }
  bool is_excluded(const std::string& group_id, const std::string& node_id, WallTime now) const;
  const std::set<std::string>& allocations_on(const std::string& node_id) const;
  Node* node(const std::string& id);

 private:
  Group* live_group(const std::string& id);
  Allocation* instance_in(const std::string& group_id, std::string_view instance);
  std::string new_dns(const std::string& name);

  // Every change of an allocation goes through these: they keep the indexes and the changes.
  Allocation& add_allocation(const Group& group, std::string slot, Moment now);
  void changed(Allocation& allocation);
  void erase(const std::string& allocation_id);
  void place(Allocation& allocation, const std::string& node_id, Moment now);
  // Ends an allocation that no longer counts; at once if nothing of it runs anywhere.
  void release(Allocation& allocation, Moment now);
  void changed(Group& group);
  void changed(Node& node);
  void exclude(const std::string& group_id, const std::string& node_id, Duration length,
               Moment now);
  void add_event(const Group& group, std::string name, std::string detail, Moment now);
  void add_event(const Allocation& allocation, std::string name, std::string detail, Moment now);

  void apply_report(Node& node, Allocation& allocation, const link::InstanceReport& report,
                    Moment now);
  void end_run(Allocation& allocation, Moment now);
  void take_back_or_end(Allocation& returned, Moment now);
  void forget_lost_of_slot(const std::string& group_id, const std::string& slot);
  void lose_silent_nodes(Moment now);
  void drain(Node& node, Moment now);
  void scale(Group& group, Moment now);
  void shrink(Group& group, size_t surplus, Moment now);
  void update_status(Group& group, Moment now);
  void place_waiting(Moment now);
  void note_exclusion_end(const std::string& group_id, Moment now);
  void forget_old_exclusions(Moment now);
  std::vector<NodeOffer> offers(Moment now) const;
  NodeOffer offer_of(const Node& node, Moment now) const;

  FleetSettings settings_;
  Random& random_;
  std::map<std::string, Group> groups_;
  std::map<std::string, Allocation> allocations_;
  std::map<std::string, Node> nodes_;
  // (node, group) -> until, in unix ns.
  std::map<std::pair<std::string, std::string>, int64_t> exclusions_;
  size_t exclusions_pruned_size_ = 0;
  std::map<std::pair<std::string, std::string>, std::string> group_ids_;  // (project, name) -> id
  std::set<std::string> dns_taken_;
  std::map<std::string, std::set<std::string>> by_group_;
  std::map<std::string, std::set<std::string>> by_node_;
  std::set<std::string> dirty_groups_;  // to be looked at by reconcile()
  std::set<std::string> waiting_;       // allocations without a node
  bool place_again_ = false;            // offers may have grown
  int64_t exclusion_ends_ = 0;          // wall time at which waiting ones may fit; 0: none
  int64_t event_sequence_ = 0;
  FleetChanges changes_;
};

}  // namespace mesclun::cloud
