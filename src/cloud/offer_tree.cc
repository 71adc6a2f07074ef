#include "cloud/offer_tree.h"

#include <algorithm>
#include <array>

namespace mesclun::cloud {

namespace {

int bit_at(uint64_t ring, int depth) {
  return static_cast<int>((ring >> (63 - depth)) & 1);
}

// Of all offers below.
struct Bound {
  double share_used = 0;  // of the best one
  size_t instances = 0;   // the least among those of that share
  Share free_max;
  Share total_max;
  uint64_t classes = 0;
  uint64_t first = 0;  // ring positions
  uint64_t last = 0;

  void add(const Bound& more) {
    const auto most = [](Share& a, const Share& b) {
      a.cpu = std::max(a.cpu, b.cpu);
      a.memory_mb = std::max(a.memory_mb, b.memory_mb);
      a.storage_mb = std::max(a.storage_mb, b.storage_mb);
    };
    std::tie(share_used, instances) =
        std::min(std::pair(share_used, instances), std::pair(more.share_used, more.instances));
    most(free_max, more.free_max);
    most(total_max, more.total_max);
    classes |= more.classes;
    first = std::min(first, more.first);
    last = std::max(last, more.last);
  }
  // No offer below costs less.
  PlacementCost cost(uint64_t from, bool wastes_gpu) const {
    const bool around = first <= from && from <= last;
    return {.wastes_gpu = wastes_gpu,
            .share_used = share_used,
            .instances = instances,
            .distance = around ? 0 : first - from};
  }
};

}  // namespace

// With an offer it is a leaf; else it has one child or two.
struct OfferTree::Branch {
  Bound bound;
  const NodeOffer* offer = nullptr;
  std::array<Link, 2> child;

  void sum() {
    bool any = false;
    for (const Link& link : child) {
      if (link == nullptr) continue;
      if (any) {
        bound.add(link->bound);
      } else {
        bound = link->bound;
      }
      any = true;
    }
  }
};

OfferTree::OfferTree() = default;
OfferTree::~OfferTree() = default;
OfferTree::OfferTree(OfferTree&&) noexcept = default;
OfferTree& OfferTree::operator=(OfferTree&&) noexcept = default;

void OfferTree::put(const NodeOffer& offer, uint64_t classes) {
  auto leaf = std::make_unique<Branch>();
  leaf->offer = &offer;
  leaf->bound = {.share_used = -share_free(offer),
                 .instances = offer.instances,
                 .free_max = offer.free,
                 .total_max = offer.total,
                 .classes = classes,
                 .first = offer.ring,
                 .last = offer.ring};
  put(root_, 0, std::move(leaf));
}

void OfferTree::put(Link& at, int depth, Link leaf) {
  const uint64_t ring = leaf->bound.first;
  if (at == nullptr || (at->offer != nullptr && at->bound.first == ring)) {
    at = std::move(leaf);
    return;
  }
  if (at->offer != nullptr) {
    Link before = std::exchange(at, std::make_unique<Branch>());
    Link& below = at->child[static_cast<size_t>(bit_at(before->bound.first, depth))];
    below = std::move(before);
  }
  put(at->child[static_cast<size_t>(bit_at(ring, depth))], depth + 1, std::move(leaf));
  at->sum();
}

void OfferTree::erase(uint64_t ring) {
  erase(root_, 0, ring);
}

void OfferTree::erase(Link& at, int depth, uint64_t ring) {
  if (at == nullptr) return;
  if (at->offer != nullptr) {
    if (at->bound.first == ring) at.reset();
    return;
  }
  erase(at->child[static_cast<size_t>(bit_at(ring, depth))], depth + 1, ring);
  auto& [left, right] = at->child;
  if (left == nullptr && right == nullptr) {
    at.reset();
    return;
  }
  // An only leaf moves up, so that the tree is what its offers make it, whatever was there before.
  Link& only = left == nullptr ? right : left;
  const bool lift = (left == nullptr || right == nullptr) && only->offer != nullptr;
  if (lift) {
    at = Link(std::move(only));
  } else {
    at->sum();
  }
}

void OfferTree::best(const Query& query, Best& best) const {
  if (root_ != nullptr) OfferTree::best(*root_, query, best);
}

void OfferTree::best(const Branch& at, const Query& query, Best& best) {
  ++*query.looked;
  const PlacementRequest& request = query.request;
  if (at.offer != nullptr) {
    const PlacementCost cost = cost_of(request, *at.offer);
    if (best.offer != nullptr && cost >= best.cost) return;
    if (fit_of(request, *at.offer, query.excluded) != Fit::Yes) return;
    best = {.offer = at.offer, .cost = cost};
    return;
  }
  struct Way {
    PlacementCost cost;
    const Branch* branch;
  };
  std::array<Way, 2> ways{};
  size_t count = 0;
  for (const Link& link : at.child) {
    if (link == nullptr || !is_within(request.share, link->bound.free_max)) continue;
    if (query.classes != 0 && (query.classes & link->bound.classes) == 0) continue;
    ways[count++] = {link->bound.cost(query.from, query.wastes_gpu), link.get()};
  }
  if (count == 2 && ways[1].cost < ways[0].cost) std::swap(ways[0], ways[1]);
  for (size_t i = 0; i < count; ++i) {
    if (best.offer != nullptr && ways[i].cost >= best.cost) continue;
    OfferTree::best(*ways[i].branch, query, best);
  }
}

void OfferTree::count_able(const Query& query, int32_t max, int32_t& count) const {
  if (root_ != nullptr) count_able(*root_, query, max, count);
}

void OfferTree::count_able(const Branch& at, const Query& query, int32_t max, int32_t& count) {
  if (count >= max || !is_within(query.request.share, at.bound.total_max)) return;
  ++*query.looked;
  if (at.offer != nullptr) {
    if (could_carry(query.request, *at.offer, query.excluded)) ++count;
    return;
  }
  for (const Link& link : at.child) {
    if (link != nullptr) count_able(*link, query, max, count);
  }
}

}  // namespace mesclun::cloud
