// The offers of one kind of node, so that the best of them is found without looking at all.
#pragma once

#include <memory>

#include "cloud/placement_planner.h"

namespace mesclun::cloud {

// A tree over the bits of the offers' ring positions. Each branch knows a bound of what is below:
// the best share and, by itself, the most that is free of each thing. A search leaves out every
// branch whose bound does not fit or cannot beat what it has.
//
// Cost:     put() and erase() touch one path, about log2 n branches and at most 64. So does best()
//           where what is free and what is best lie together; at worst it looks at every offer.
// Lifetime: offers stay where they are until they are erased or put again.
class OfferTree {
 public:
  OfferTree();
  ~OfferTree();
  OfferTree(OfferTree&&) noexcept;
  OfferTree& operator=(OfferTree&&) noexcept;

  // `classes`: bits of the GPU classes of which a card can be had.
  void put(const NodeOffer& offer, uint64_t classes);
  void erase(uint64_t ring);

  struct Query {
    const PlacementRequest& request;
    const IsExcluded& excluded;
    uint64_t classes = 0;     // any of these bits; 0: no GPU is asked for
    bool wastes_gpu = false;  // all nodes of the tree have one, and none is asked for
    uint64_t from = 0;        // the group's position on the ring
    uint64_t* looked;         // offers and branches, added up
  };
  struct Best {
    const NodeOffer* offer = nullptr;
    PlacementCost cost;
  };
  // Leaves the better of what it is given and what it finds.
  void best(const Query& query, Best& best) const;
  // Adds those that could carry it until there are `max`.
  void count_able(const Query& query, int32_t max, int32_t& count) const;

 private:
  struct Branch;
  using Link = std::unique_ptr<Branch>;

  static void put(Link& at, int depth, Link leaf);
  static void erase(Link& at, int depth, uint64_t ring);
  static void best(const Branch& at, const Query& query, Best& best);
  static void count_able(const Branch& at, const Query& query, int32_t max, int32_t& count);

  Link root_;
};

}  // namespace mesclun::cloud
