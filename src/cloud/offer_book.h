// What all nodes offer, kept up as it changes.
#pragma once

#include "cloud/offer_tree.h"

namespace mesclun::cloud {

// Runs on:   the fleet loop.
// Order:     what it answers follows from what stands in it, not from how that came about; only
//            numbers depend on the order in which nodes came.
// Cost:      put() and withdraw() touch one path of one tree. A search goes through the kinds of
//            machines (a country with a set of GPU classes) that the request allows.
// Lifetime:  offers stay where they are until their node's next put(), withdraw() or clear().
class OfferBook {
 public:
  void clear();
  // In place of what was known of the node; sets `ring`. The number of the node: dense, and its own
  // for as long as the book is not cleared.
  size_t put(NodeOffer offer);
  std::optional<size_t> withdraw(const std::string& node_id);

  const NodeOffer* find(const std::string& node_id) const;
  size_t size() const { return standing_; }
  size_t numbers() const { return places_.size(); }
  // Null: the node of this number offers nothing now.
  const NodeOffer* at(size_t number) const;

  // A request with the trees that may have something for it; for as long as no node of a new kind
  // is put.
  struct Aim {
    PlacementRequest request;
    IsExcluded excluded;
    std::vector<std::pair<const OfferTree*, OfferTree::Query>> trees;
  };
  // Adds up in `looked` what its searches look at.
  std::unique_ptr<Aim> aim(PlacementRequest request, IsExcluded excluded, uint64_t& looked) const;
  // The node with the least cost of those that fit; null: none does.
  static const NodeOffer* best(const Aim& aim);
  // How many nodes could carry it, busy or not; counted up to `max`.
  static int32_t count_able(const Aim& aim, int32_t max);

 private:
  // Machines of one country with the same classes of GPUs, which are sorted.
  struct Kind {
    std::string country;
    std::vector<std::string> classes;
    auto operator<=>(const Kind&) const = default;
  };
  struct Place {
    size_t number = 0;
    uint64_t ring = 0;
    const Kind* kind = nullptr;  // null: it offers nothing now
    NodeOffer offer;
  };

  static Kind kind_of(const NodeOffer& offer);
  void take_out(Place& place);

  std::map<Kind, OfferTree> trees_;
  std::map<std::string, Place> places_;  // by node
  std::vector<const Place*> by_number_;
  std::set<uint64_t> rings_;
  size_t standing_ = 0;
};

}  // namespace mesclun::cloud
