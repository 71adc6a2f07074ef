// Which node runs a replica: a plain function over values.
#pragma once

#include <set>

#include "api/container_group.h"

namespace mesclun::cloud {

// What is free on a node, and what speaks against it.
struct NodeOffer {
  std::string node_id;
  std::string country;
  int32_t cpu_free = 0;
  int64_t memory_free_mb = 0;
  int64_t storage_free_mb = 0;
  std::vector<std::string> gpu_classes_free;  // one entry a GPU
  int32_t cpu = 0;                            // in all
  int64_t memory_mb = 0;                      // in all
  bool has_gpu = false;
  size_t instances = 0;
  std::set<std::string> groups;    // that have an instance on it, in whatever state
  std::set<std::string> excluded;  // groups that are kept away from it
};

struct PlacementRequest {
  std::string allocation_id;
  std::string group_id;
  api::Priority priority = api::Priority::Batch;
  api::Resources resources;
  std::vector<std::string> country_codes;  // sorted; empty: any
  int64_t waiting_since = 0;               // older first among equals
};

struct Placement {
  std::string allocation_id;
  std::string node_id;
  // Other nodes that fit, counting those that are busy now.
  int32_t nodes_left = 0;
};

// Why nothing fits, counted over the nodes; shown in the group's current_state.description.
struct Misfit {
  size_t nodes = 0;
  size_t country = 0;
  size_t gpu = 0;
  size_t too_small = 0;  // even when empty
  size_t busy = 0;       // not enough free now
  size_t taken = 0;      // has an instance of the group
  size_t excluded = 0;

  std::string text() const;
};

struct PlacementPlan {
  std::vector<Placement> placements;
  std::map<std::string, Misfit> misfits;  // by group, for those with a request left over
};

// Hard rules (lifecycle.md §6 and §7): country, GPU class, cpu, memory, storage, one instance of a
// group per node, exclusions. Requests go by priority, then by age. Among the nodes that fit: those
// without a GPU first if none is asked for, then the one with the largest share free, then the one
// with the fewest instances; a hash of group and node breaks ties, so that groups spread
// differently.
PlacementPlan plan_placements(std::vector<PlacementRequest> requests,
                              std::vector<NodeOffer> offers);

// An instance of the group takes its share of what is free.
void occupy(NodeOffer& offer, const std::string& group_id, const api::Resources& resources);

// Whether the node could carry the group if it were empty.
bool could_carry(const NodeOffer& offer, const api::Resources& resources,
                 const std::vector<std::string>& country_codes);

}  // namespace mesclun::cloud
