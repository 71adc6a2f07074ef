#include "cloud/fleet_placement.h"

#include <algorithm>

#include "api/event_names.h"
#include "cloud/fleet_steps.h"

namespace mesclun::cloud {

namespace {

constexpr int32_t kNodesLeftMax = 100;

Share minus(const Share& a, const Share& b) {
  return {a.cpu - b.cpu, a.memory_mb - b.memory_mb, a.storage_mb - b.storage_mb};
}

Share plus(const Share& a, const Share& b) {
  return {a.cpu + b.cpu, a.memory_mb + b.memory_mb, a.storage_mb + b.storage_mb};
}

Share most(const Share& a, const Share& b) {
  return {std::max(a.cpu, b.cpu), std::max(a.memory_mb, b.memory_mb),
          std::max(a.storage_mb, b.storage_mb)};
}

const Card* find_card(const NodeOffer& offer, const std::string& device) {
  const auto found = std::ranges::find(offer.cards, device, &Card::device);
  return found == offer.cards.end() ? nullptr : &*found;
}

void give_card(Allocation& allocation, const std::string& device) {
  allocation.gpu = allocation.wish.gpu = device;
}

void take_card(Fleet& fleet, const CardChoice& choice) {
  for (const auto& [holder, device] : choice.moved) {
    fleet.allocations.change(holder, [&](Allocation& moved) { give_card(moved, device); });
  }
}

// One call of place_waiting().
class Placer {
 public:
  Placer(Fleet& fleet, const PlacementSlice& slice, Moment now)
      : fleet_(fleet),
        now_(now),
        wall_(to_unix_nanos(now.wall)),
        looks_end_(fleet.work.nodes_looked_at + slice.looks_max),
        placements_left_(slice.placements_max) {}

  void run() {
    std::set<std::string>& changed = fleet_.marks.offers;
    while (!changed.empty() && !is_over()) {
      const std::string node_id = changed.extract(changed.begin()).value();
      renew(node_id);
    }
    if (changed.empty()) place_all();
  }

 private:
  // A group by what its next replica is measured by: priority, age.
  struct Next {
    api::Priority priority;
    int64_t since;
    std::string allocation_id;
    std::string group_id;
    auto operator<=>(const Next&) const = default;
  };

  bool is_over() const {
    return placements_left_ == 0 || fleet_.work.nodes_looked_at >= looks_end_;
  }

  void renew(const std::string& node_id) {
    ++fleet_.work.offers_made;
    const Node* node = fleet_.nodes.find(node_id);
    const bool offered = node != nullptr && fleet_.nodes.offered().contains(node_id);
    const auto number =
        offered ? fleet_.offers.put(offer_of(fleet_, *node)) : fleet_.offers.withdraw(node_id);
    if (!number) return;
    const auto excluded = [this](const std::string& group_id, const std::string& id) {
      return fleet_.exclusions.holds(group_id, id, wall_);
    };
    for (const std::string& group_id : fleet_.waiting.review(
             *number, fleet_.offers.at(*number), excluded, fleet_.work.nodes_looked_at)) {
      fleet_.marks.seek.insert(group_id);
    }
  }

  void place_all() {
    const std::vector<std::string> seeking(fleet_.marks.seek.begin(), fleet_.marks.seek.end());
    for (const std::string& group_id : seeking) enqueue(group_id);
    while (!queue_.empty() && !is_over()) {
      const Next next = queue_.extract(queue_.begin()).value();
      if (place(next)) {
        enqueue(next.group_id);
      } else {
        // What did not fit one replica of a group does not fit the next: free room only shrinks.
        fleet_.marks.seek.erase(next.group_id);
      }
    }
  }

  void enqueue(const std::string& group_id) {
    const AllocationTable::Line& line = fleet_.allocations.waiting_of(group_id);
    if (line.empty()) {
      fleet_.marks.seek.erase(group_id);
      fleet_.waiting.forget(group_id);
      return;
    }
    const auto& [since, allocation_id] = *line.begin();
    queue_.insert({.priority = api::effective_priority(fleet_.groups.at(group_id).spec),
                   .since = since,
                   .allocation_id = allocation_id,
                   .group_id = group_id});
  }

  // False: no node fits.
  bool place(const Next& next) {
    const OfferBook::Aim& aim = aim_of(next.group_id);
    const NodeOffer* offer = OfferBook::best(aim);
    if (offer == nullptr) {
      fleet_.waiting.keep(aim.request, fleet_.offers, aim.excluded, fleet_.work.nodes_looked_at);
      // An update does not wait for what finds no node.
      if (fleet_.groups.at(next.group_id).update) fleet_.marks.review.insert(next.group_id);
      return false;
    }
    const std::string node_id = offer->node_id;
    const int32_t others = OfferBook::count_able(aim, kNodesLeftMax + 1) - 1;
    CardChoice card;
    if (!aim.request.gpu_classes.empty()) {
      card = choose_card(*offer, aim.request.gpu_classes, demand_on(*offer)).value();
      take_card(fleet_, card);
    }
    const Allocation& placed =
        fleet_.allocations.change(next.allocation_id, [&](Allocation& allocation) {
          allocation.node_id = node_id;
          allocation.share = aim.request.share;
          give_card(allocation, card.device);
          allocation.wish.nodes_left = others;
          allocation.update_time = wall_;
        });
    add_event(fleet_, placed, api::event::kAllocated, "", now_);
    fleet_.marks.offers.erase(node_id);
    renew(node_id);
    --placements_left_;
    return true;
  }

  const OfferBook::Aim& aim_of(const std::string& group_id) {
    std::unique_ptr<OfferBook::Aim>& aim = aims_[group_id];
    if (aim == nullptr) {
      const IsExcluded excluded = [this, group_id](const std::string& node_id) {
        return fleet_.exclusions.holds(group_id, node_id, wall_);
      };
      aim = fleet_.offers.aim(request_of(fleet_.groups.at(group_id)), excluded,
                              fleet_.work.nodes_looked_at);
    }
    return *aim;
  }

  // Only asked where there is something to choose from.
  const ClassDemand& demand_on(const NodeOffer& offer) {
    static const ClassDemand kNone;
    if (offer.cards.size() < 2) return kNone;
    if (demand_) return *demand_;
    demand_.emplace();
    const auto add = [this](const std::vector<std::string>& classes) {
      // Divisible by all small numbers.
      constexpr int64_t kWeight = 27'720;
      for (const std::string& id : classes) (*demand_)[id] += kWeight / std::ssize(classes);
    };
    for (const std::string& id : fleet_.marks.seek)
      add(request_of(fleet_.groups.at(id)).gpu_classes);
    fleet_.waiting.each([&](const PlacementRequest& request) { add(request.gpu_classes); });
    return *demand_;
  }

  Fleet& fleet_;
  const Moment now_;
  const int64_t wall_;
  const uint64_t looks_end_;
  size_t placements_left_;
  std::set<Next> queue_;
  std::map<std::string, std::unique_ptr<OfferBook::Aim>> aims_;
  std::optional<ClassDemand> demand_;
};

}  // namespace

PlacementRequest request_of(const std::string& group_id, const api::GroupSpec& spec) {
  const api::Resources& resources = spec.container.resources;
  PlacementRequest request{.group_id = group_id,
                           .share = share_of(resources),
                           .gpu_classes = resources.gpu_classes,
                           .country_codes = spec.country_codes,
                           .has_command = !spec.container.command.empty()};
  std::ranges::sort(request.country_codes);
  return request;
}

NodeOffer empty_offer(const Node& node) {
  const link::NodeFacts& facts = node.facts;
  const Share all{facts.cpu, facts.memory_mb, facts.storage_mb};
  NodeOffer offer{.node_id = node.id,
                  .ring = 0,
                  .country = facts.country,
                  .needs_command = facts.runtime == "process",
                  .total = all,
                  .free = all,
                  .cards = {},
                  .groups = {}};
  for (const link::GpuFacts& gpu : facts.gpus) {
    const std::string number = std::to_string(offer.cards.size());
    offer.cards.push_back({.device = gpu.device.empty() ? number : gpu.device,
                           .class_id = gpu.class_id,
                           .holder = {},
                           .holder_takes = {}});
  }
  return offer;
}

bool hold(NodeOffer& offer, const Allocation& allocation, const PlacementRequest& request) {
  if (!is_country_of(request, offer) || !is_within(allocation.share, offer.free)) return false;
  if (!allocation.gpu.empty()) {
    const auto card = std::ranges::find(offer.cards, allocation.gpu, &Card::device);
    if (card == offer.cards.end() || !card->holder.empty() ||
        !is_class_of(request, card->class_id)) {
      return false;
    }
    card->holder = allocation.id;
  }
  offer.free = minus(offer.free, allocation.share);
  return true;
}

NodeOffer offer_of(const Fleet& fleet, const Node& node) {
  NodeOffer offer = empty_offer(node);
  for (const std::string& id : fleet.allocations.on_node(node.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (allocation.done()) continue;
    offer.free = minus(offer.free, allocation.share);
    offer.groups.insert(allocation.group_id);
    ++offer.instances;
    if (allocation.gpu.empty()) continue;
    for (Card& card : offer.cards) {
      if (card.device != allocation.gpu) continue;
      card.holder = id;
      if (!fleet.marks.placed.contains(id)) continue;
      const Group& group = fleet.groups.at(allocation.group_id);
      card.holder_takes = group.spec.container.resources.gpu_classes;
    }
  }
  return offer;
}

void place_waiting(Fleet& fleet, const PlacementSlice& slice, Moment now) {
  Placer(fleet, slice, now).run();
}

std::optional<Refit> refit_of(const Fleet& fleet, const Allocation& allocation,
                              const Group& group) {
  const Node* node = fleet.nodes.find(allocation.node_id);
  if (node == nullptr) return std::nullopt;
  const PlacementRequest request = request_of(group);
  const NodeOffer offer = offer_of(fleet, *node);
  Refit how{.held = most(allocation.share, request.share), .card = {}, .gpu = {}};
  if (!is_country_of(request, offer) || !is_within(request.share, offer.total) ||
      !is_within(how.held, plus(offer.free, allocation.share))) {
    return std::nullopt;
  }
  if (!request.gpu_classes.empty()) {
    // Another card instead of its own would be two for a while: that is what moving is for.
    const Card* own = find_card(offer, allocation.wish.gpu);
    if (own != nullptr && is_class_of(request, own->class_id)) {
      how.gpu = own->device;
    } else {
      if (!allocation.gpu.empty()) return std::nullopt;
      how.card = choose_card(offer, request.gpu_classes, {});
      if (!how.card) return std::nullopt;
      how.gpu = how.card->device;
    }
  }
  how.restarts = allocation.wish.gpu != how.gpu;
  return how;
}

void refit(Fleet& fleet, const Allocation& allocation, const Refit& how) {
  if (how.card) take_card(fleet, *how.card);
  fleet.allocations.change(allocation.id, [&](Allocation& carries) {
    carries.share = how.held;
    if (!how.gpu.empty()) carries.gpu = how.gpu;
    carries.wish.gpu = how.gpu;
  });
}

void settle(Fleet& fleet, const Allocation& allocation, const Group& group) {
  const bool is_newest = allocation.carried() && allocation.wish.version == group.version;
  if (!is_newest || allocation.wish.stop) return;
  const Share share = request_of(group).share;
  if (allocation.share == share && allocation.gpu == allocation.wish.gpu) return;
  fleet.allocations.change(allocation.id, [&](Allocation& settled) {
    settled.share = share;
    settled.gpu = settled.wish.gpu;
  });
}

}  // namespace mesclun::cloud
