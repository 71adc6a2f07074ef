// Which node may run a replica and how well it suits, which GPU the replica gets there: plain
// functions over values. How the best of many nodes is found is in offer_book.h.
#pragma once

#include <compare>
#include <functional>

#include "cloud/fleet_state.h"

namespace mesclun::cloud {

// One GPU of a node.
struct Card {
  std::string device;
  std::string class_id;
  std::string holder;  // an allocation; empty: free
  // Nobody was told of the holder's yet: it may get another, of any of these classes.
  std::vector<std::string> holder_takes;
};

// What a node has, and what is left of it.
struct NodeOffer {
  std::string node_id;
  uint64_t ring = 0;  // where it stands among all nodes, see PlacementCost
  std::string country;
  bool needs_command = false;  // it has no images, whose own command could be run
  Share total;
  Share free;  // negative where the machine has become smaller than what runs on it
  std::vector<Card> cards;
  size_t instances = 0;
  std::set<std::string> groups;  // that have an instance on it, in whatever state
};

// What one replica of a group needs.
struct PlacementRequest {
  std::string group_id;
  Share share;
  std::vector<std::string> gpu_classes;    // any of them; empty: no GPU
  std::vector<std::string> country_codes;  // sorted; empty: any
  bool has_command = true;                 // else the image's own is meant
  bool operator==(const PlacementRequest&) const = default;
};
// Whether the request's group is kept away from a node.
using IsExcluded = std::function<bool(const std::string& node_id)>;

bool is_country_of(const PlacementRequest& request, const NodeOffer& offer);
bool is_class_of(const PlacementRequest& request, const std::string& class_id);
Share share_of(const api::Resources& resources);
bool is_within(const Share& share, const Share& limit);

// The hard rules (lifecycle.md §6 and §7), the first that is broken: something to run, country, GPU class, cpu and
// memory and storage of the whole machine, one instance of a group per node, exclusions, what is
// free.
enum class Fit : uint8_t { Yes, Command, Country, Gpu, TooSmall, Taken, Excluded, Busy };
Fit fit_of(const PlacementRequest& request, const NodeOffer& offer, const IsExcluded& excluded);
// Whether the node would take the replica if nothing else ran there.
bool could_carry(const PlacementRequest& request, const NodeOffer& offer,
                 const IsExcluded& excluded);

// Less is better: a node without a GPU if none is asked for, then the one with the largest share
// free, then the one with the fewest instances. Among equals the next one on a ring of all nodes,
// which every group enters at a place of its own: groups spread differently.
struct PlacementCost {
  bool wastes_gpu = false;
  double share_used = 0;  // of cpu or memory, whichever is scarcer; minus what is free
  size_t instances = 0;
  uint64_t distance = 0;
  auto operator<=>(const PlacementCost&) const = default;
};
PlacementCost cost_of(const PlacementRequest& request, const NodeOffer& offer);
double share_free(const NodeOffer& offer);
uint64_t ring_position(std::string_view id);  // the same in every run

// How many waiting groups would like a GPU of a class, weighed by how few others they take.
using ClassDemand = std::map<std::string, int64_t>;
struct CardChoice {
  std::string device;
  std::map<std::string, std::string> moved;  // allocations nobody was told of yet -> their card now
};
// A matching, not the first that fits: whoever may still get another card makes way. Of several
// the one least in demand. Nothing: no card can be had.
std::optional<CardChoice> choose_card(const NodeOffer& offer,
                                      const std::vector<std::string>& classes,
                                      const ClassDemand& demand);
bool has_card(const NodeOffer& offer, const std::vector<std::string>& classes);

// Why nothing fits, counted over the nodes; shown in the group's current_state.description.
struct Misfit {
  size_t nodes = 0;
  size_t command = 0;  // run programs of the machine, and the group names none
  size_t country = 0;
  size_t gpu = 0;
  size_t too_small = 0;  // even when empty
  size_t busy = 0;       // not enough free now
  size_t taken = 0;      // has an instance of the group
  size_t excluded = 0;
  bool operator==(const Misfit&) const = default;

  void add(Fit fit, int by);  // 1 or -1
  std::string text() const;
};

}  // namespace mesclun::cloud
