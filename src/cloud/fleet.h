// Groups, replicas and machines: the tables, and how they are filled and emptied. Every rule about
// them is a plain function over a Fleet: fleet_groups.h, fleet_nodes.h, fleet_reconcile.h,
// fleet_placement.h. What others get to see of it is in fleet_views.h.
#pragma once

#include "base/random.h"
#include "cloud/allocation_table.h"
#include "cloud/exclusion_table.h"
#include "cloud/group_table.h"
#include "cloud/node_table.h"
#include "cloud/waiting_book.h"

namespace mesclun::cloud {

struct FleetSettings {
  Duration node_grace = 20s;                    // from the last sign of life to the replacement
  Duration exclusion = std::chrono::hours(48);  // after a reallocation or a bad end
  Duration retry_elsewhere = 60s;  // after an end without blame, so that another node is tried
  // After a failure where no other node is left, as Kubernetes does: doubling from the first.
  Duration retry_here_first = 10s;
  Duration retry_here_max = 5min;
  // What serves on a drained node waits for its successor for so long.
  Duration drain_limit = 10min;
  Duration runs_long = 10min;  // a failure after so long a run is the first of its row
  UpdateLimit update_at_once;  // of groups that have none of their own
  // Without a readiness probe: what ran for so long did not fail at its start.
  Duration update_settle = 5s;
  // People are told of an update that made no progress for so long.
  Duration update_patience = 10min;
  int32_t versions_kept = 10;  // former ones of each group, to return to
  // After the deletion of a group its host name answers 410 for so long, and its name stays taken.
  Duration deleted_retention = std::chrono::hours(24);
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
  std::set<std::string> forgotten_nodes;
  std::set<std::string> forgotten_groups;  // with their events and exclusions
  std::vector<Exclusion> exclusions;
  std::vector<GroupVersion> versions;
  int32_t versions_kept = 0;
  std::vector<RegistryLogin> logins;
  std::vector<Event> events;
  std::set<std::string> desired;     // nodes whose assignments changed
  std::set<std::string> routes;      // groups whose routes may have changed
  std::set<std::string> free_hosts;  // host names that belong to no group any more

  bool has_rows() const {
    return !groups.empty() || !allocations.empty() || !nodes.empty() || !forgotten_nodes.empty() ||
           !forgotten_groups.empty() || !exclusions.empty() || !versions.empty() ||
           !logins.empty() || !events.empty();
  }
};

// What placement has cost so far; tests count it.
struct PlacementWork {
  uint64_t offers_made = 0;
  uint64_t nodes_looked_at = 0;
};

// Runs on: the fleet loop; between turns anybody on the cloud's loop may read.
// Order:   tables are ordered and times are handed in, so that the same calls give the same state.
struct Fleet {
  Fleet(FleetSettings chosen, Random& dice)
      : settings(std::move(chosen)), random(dice), nodes(settings.node_grace, marks) {}
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Forgets all but live sessions, and takes over the snapshot. Nodes count as heard at `now`.
  void restore(FleetSnapshot snapshot, Moment now);
  // Of this turn, whose marks end with it.
  FleetChanges take_changes();
  void add_event(Event event);

  const FleetSettings settings;
  Random& random;
  TurnMarks marks;
  GroupTable groups{marks};
  AllocationTable allocations{marks};
  NodeTable nodes;
  ExclusionTable exclusions{marks};
  // Of what the tables say, as far as placement has read their marks.
  OfferBook offers;
  WaitingBook waiting;
  PlacementWork work;
  int64_t event_sequence = 0;
};

}  // namespace mesclun::cloud
