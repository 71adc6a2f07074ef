#include "cloud/placement_planner.h"

#include <fmt/format.h>

#include <algorithm>

namespace mesclun::cloud {

namespace {

// Without an own wish an instance gets room for files of this size (lifecycle.md, open point 12, at
// its least).
constexpr int64_t kStorageDefaultMb = 1024;

bool contains(const std::vector<std::string>& classes, const std::string& class_id) {
  return std::ranges::find(classes, class_id) != classes.end();
}

// Kuhn's augmenting path over the cards of one node.
class CardMatching {
 public:
  CardMatching(const NodeOffer& offer, const ClassDemand& demand)
      : offer_(offer), seen_(offer.cards.size()) {
    for (size_t i = 0; i < offer.cards.size(); ++i) order_.push_back(i);
    const auto wanted = [&](size_t i) {
      const auto found = demand.find(offer.cards[i].class_id);
      return found == demand.end() ? int64_t{0} : found->second;
    };
    std::ranges::sort(order_, {}, [&](size_t i) {
      return std::tuple(!offer.cards[i].holder.empty(), wanted(i), i);
    });
  }

  // The card that can be given to somebody who takes these classes; its holder, if it has one, has
  // moved on then.
  std::optional<size_t> find(const std::vector<std::string>& classes) {
    for (const size_t i : order_) {
      const Card& card = offer_.cards[i];
      if (seen_[i] || !contains(classes, card.class_id)) continue;
      seen_[i] = true;
      if (card.holder.empty()) return i;
      if (card.holder_takes.empty()) continue;
      const auto other = find(card.holder_takes);
      if (!other) continue;
      moved_[card.holder] = offer_.cards[*other].device;
      return i;
    }
    return std::nullopt;
  }
  std::map<std::string, std::string>& moved() { return moved_; }

 private:
  const NodeOffer& offer_;
  std::vector<bool> seen_;
  std::vector<size_t> order_;
  std::map<std::string, std::string> moved_;
};

}  // namespace

bool is_country_of(const PlacementRequest& request, const NodeOffer& offer) {
  return request.country_codes.empty() ||
         std::ranges::binary_search(request.country_codes, offer.country);
}

bool is_class_of(const PlacementRequest& request, const std::string& class_id) {
  return contains(request.gpu_classes, class_id);
}

Share share_of(const api::Resources& resources) {
  return {.cpu = resources.cpu,
          .memory_mb = resources.memory,
          .storage_mb = resources.storage_amount ? *resources.storage_amount / (1024 * 1024)
                                                 : kStorageDefaultMb};
}

bool is_within(const Share& share, const Share& limit) {
  return share.cpu <= limit.cpu && share.memory_mb <= limit.memory_mb &&
         share.storage_mb <= limit.storage_mb;
}

Fit fit_of(const PlacementRequest& request, const NodeOffer& offer, const IsExcluded& excluded) {
  if (offer.needs_command && !request.has_command) return Fit::Command;
  if (!is_country_of(request, offer)) return Fit::Country;
  if (!request.gpu_classes.empty() && !has_card(offer, request.gpu_classes)) return Fit::Gpu;
  if (!is_within(request.share, offer.total)) return Fit::TooSmall;
  if (offer.groups.contains(request.group_id)) return Fit::Taken;
  if (excluded(offer.node_id)) return Fit::Excluded;
  return is_within(request.share, offer.free) ? Fit::Yes : Fit::Busy;
}

bool could_carry(const PlacementRequest& request, const NodeOffer& offer,
                 const IsExcluded& excluded) {
  const auto suits = [&](const Card& card) { return is_class_of(request, card.class_id); };
  return (request.has_command || !offer.needs_command) && is_country_of(request, offer) &&
         is_within(request.share, offer.total) &&
         (request.gpu_classes.empty() || std::ranges::any_of(offer.cards, suits)) &&
         !offer.groups.contains(request.group_id) && !excluded(offer.node_id);
}

double share_free(const NodeOffer& offer) {
  const double cpu = static_cast<double>(offer.free.cpu) / std::max(offer.total.cpu, 1);
  const double memory = static_cast<double>(offer.free.memory_mb) /
                        static_cast<double>(std::max<int64_t>(offer.total.memory_mb, 1));
  return std::min(cpu, memory);
}

// FNV-1a, because its value must not differ between runs, with MurmurHash3's last steps: the first
// bits are to be as good as the last.
uint64_t ring_position(std::string_view id) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : id) hash = (hash ^ c) * 0x100000001b3;
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
  return hash ^ (hash >> 33);
}

PlacementCost cost_of(const PlacementRequest& request, const NodeOffer& offer) {
  return {.wastes_gpu = request.gpu_classes.empty() && !offer.cards.empty(),
          .share_used = -share_free(offer),
          .instances = offer.instances,
          .distance = offer.ring - ring_position(request.group_id)};
}

std::optional<CardChoice> choose_card(const NodeOffer& offer,
                                      const std::vector<std::string>& classes,
                                      const ClassDemand& demand) {
  CardMatching matching(offer, demand);
  const auto card = matching.find(classes);
  if (!card) return std::nullopt;
  return CardChoice{.device = offer.cards[*card].device, .moved = std::move(matching.moved())};
}

bool has_card(const NodeOffer& offer, const std::vector<std::string>& classes) {
  bool may_move = false;
  for (const Card& card : offer.cards) {
    if (card.holder.empty() && contains(classes, card.class_id)) return true;
    if (!card.holder_takes.empty()) may_move = true;
  }
  return may_move && choose_card(offer, classes, {}).has_value();
}

void Misfit::add(Fit fit, int by) {
  const auto count = [by](size_t& n) { n += static_cast<size_t>(by); };
  count(nodes);
  switch (fit) {
    case Fit::Yes:
      break;
    case Fit::Command:
      count(command);
      break;
    case Fit::Country:
      count(country);
      break;
    case Fit::Gpu:
      count(gpu);
      break;
    case Fit::TooSmall:
      count(too_small);
      break;
    case Fit::Busy:
      count(busy);
      break;
    case Fit::Taken:
      count(taken);
      break;
    case Fit::Excluded:
      count(excluded);
      break;
  }
}

std::string Misfit::text() const {
  if (nodes == 0) return "Waiting for a node: none that takes instances is online.";
  std::string out = fmt::format("Waiting for a node: of {} online", nodes);
  const auto add = [&](size_t n, std::string_view why) {
    if (n > 0) out += fmt::format(", {} {}", n, why);
  };
  add(command, "with the process runtime, which has no images: set container.command");
  add(country, "in other countries");
  add(gpu, "without a free GPU of these classes");
  add(too_small, "too small");
  add(busy, "without enough free room");
  add(taken, "with an instance of this group already");
  add(excluded, "excluded after a reallocation or a failure");
  return out + ".";
}

}  // namespace mesclun::cloud
