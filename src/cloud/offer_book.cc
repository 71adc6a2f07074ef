#include "cloud/offer_book.h"

#include <algorithm>

namespace mesclun::cloud {

namespace {

// More than a machine has; what is beyond is not told apart, only looked at in vain.
constexpr size_t kClassBits = 64;

// The classes among `classes` of which a card can be had.
uint64_t open_classes(const NodeOffer& offer, const std::vector<std::string>& classes) {
  uint64_t open = 0;
  for (size_t i = 0; i < classes.size(); ++i) {
    if (has_card(offer, {classes[i]})) open |= uint64_t{1} << (i % kClassBits);
  }
  return open;
}

uint64_t wanted_classes(const std::vector<std::string>& wanted,
                        const std::vector<std::string>& classes) {
  uint64_t bits = 0;
  for (size_t i = 0; i < classes.size(); ++i) {
    if (std::ranges::find(wanted, classes[i]) != wanted.end()) {
      bits |= uint64_t{1} << (i % kClassBits);
    }
  }
  return bits;
}

}  // namespace

void OfferBook::clear() {
  trees_.clear();
  places_.clear();
  by_number_.clear();
  rings_.clear();
  standing_ = 0;
}

OfferBook::Kind OfferBook::kind_of(const NodeOffer& offer) {
  Kind kind{.country = offer.country, .classes = {}};
  for (const Card& card : offer.cards) kind.classes.push_back(card.class_id);
  std::ranges::sort(kind.classes);
  const auto twice = std::ranges::unique(kind.classes);
  kind.classes.erase(twice.begin(), twice.end());
  return kind;
}

size_t OfferBook::put(NodeOffer offer) {
  const auto [entry, is_new] = places_.try_emplace(offer.node_id);
  Place& place = entry->second;
  if (is_new) {
    place.number = by_number_.size();
    by_number_.push_back(&place);
    place.ring = ring_position(offer.node_id);
    while (!rings_.insert(place.ring).second) ++place.ring;
  }
  const auto tree = trees_.try_emplace(kind_of(offer)).first;
  if (place.kind != &tree->first) take_out(place);
  if (place.kind == nullptr) ++standing_;
  offer.ring = place.ring;
  place.offer = std::move(offer);
  place.kind = &tree->first;
  tree->second.put(place.offer, open_classes(place.offer, tree->first.classes));
  return place.number;
}

std::optional<size_t> OfferBook::withdraw(const std::string& node_id) {
  const auto found = places_.find(node_id);
  if (found == places_.end()) return std::nullopt;
  take_out(found->second);
  return found->second.number;
}

void OfferBook::take_out(Place& place) {
  if (place.kind == nullptr) return;
  trees_.at(*place.kind).erase(place.ring);
  place.kind = nullptr;
  --standing_;
}

const NodeOffer* OfferBook::find(const std::string& node_id) const {
  const auto found = places_.find(node_id);
  return found == places_.end() ? nullptr : at(found->second.number);
}

const NodeOffer* OfferBook::at(size_t number) const {
  const Place& place = *by_number_[number];
  return place.kind == nullptr ? nullptr : &place.offer;
}

std::unique_ptr<OfferBook::Aim> OfferBook::aim(PlacementRequest request, IsExcluded excluded,
                                               uint64_t& looked) const {
  auto aim = std::make_unique<Aim>(
      Aim{.request = std::move(request), .excluded = std::move(excluded), .trees = {}});
  const std::vector<std::string>& countries = aim->request.country_codes;
  const uint64_t from = ring_position(aim->request.group_id);
  const bool wants_gpu = !aim->request.gpu_classes.empty();
  const auto add_trees = [&](bool wasteful) {
    for (const auto& [kind, tree] : trees_) {
      if (!countries.empty() && !std::ranges::binary_search(countries, kind.country)) continue;
      const uint64_t classes = wanted_classes(aim->request.gpu_classes, kind.classes);
      if (wants_gpu ? classes == 0 : wasteful == kind.classes.empty()) continue;
      const OfferTree::Query query{.request = aim->request,
                                   .excluded = aim->excluded,
                                   .classes = classes,
                                   .wastes_gpu = wasteful,
                                   .from = from,
                                   .looked = &looked};
      aim->trees.emplace_back(&tree, query);
    }
  };
  add_trees(false);
  // After the machines without a GPU, so that these need not be looked at.
  if (!wants_gpu) add_trees(true);
  return aim;
}

const NodeOffer* OfferBook::best(const Aim& aim) {
  OfferTree::Best best;
  for (const auto& [tree, query] : aim.trees) {
    if (query.wastes_gpu && best.offer != nullptr && !best.cost.wastes_gpu) break;
    tree->best(query, best);
  }
  return best.offer;
}

int32_t OfferBook::count_able(const Aim& aim, int32_t max) {
  int32_t count = 0;
  for (const auto& [tree, query] : aim.trees) tree->count_able(query, max, count);
  return count;
}

}  // namespace mesclun::cloud
