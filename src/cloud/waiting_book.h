// Why groups wait for nodes, kept up as nodes change.
#pragma once

#include "cloud/offer_book.h"

namespace mesclun::cloud {

// Of each group that found no node: what every node had against it, and the sums of that. One node
// that changes is looked at once for every such group, so nobody has to look at all nodes again.
//
// Runs on:   the fleet loop. Numbers are those of one OfferBook.
// Size:      a byte for each node and waiting group.
class WaitingBook {
 public:
  void clear() { groups_.clear(); }
  // Nothing fits the request: looks at every offer, unless that was known.
  void keep(PlacementRequest request, const OfferBook& offers, const IsExcluded& excluded,
            uint64_t& looked);
  void forget(const std::string& group_id) { groups_.erase(group_id); }

  // What the node of this number offers has changed (null: nothing now). Those that it fits.
  using ExcludedOf = std::function<bool(const std::string& group_id, const std::string& node_id)>;
  std::vector<std::string> review(size_t number, const NodeOffer* offer, const ExcludedOf& excluded,
                                  uint64_t& looked);

  size_t size() const { return groups_.size(); }
  const Misfit* find(const std::string& group_id) const;
  // f(request)
  template <class F>
  void each(F f) const {
    for (const auto& [id, group] : groups_) f(group.request);
  }

 private:
  struct Waiting {
    PlacementRequest request;
    std::vector<std::optional<Fit>> verdicts;  // by number; nothing: it offers nothing
    Misfit misfit;
  };

  static void judge(Waiting& group, size_t number, std::optional<Fit> fit);

  std::map<std::string, Waiting> groups_;
};

}  // namespace mesclun::cloud
