#include "cloud/offer_book.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "cloud/waiting_book.h"

namespace mesclun::cloud {
namespace {

NodeOffer node(std::string id, std::string country = "us", int32_t cpu = 4, int64_t memory = 8192) {
  NodeOffer offer{.node_id = std::move(id), .country = std::move(country)};
  offer.total = offer.free = {cpu, memory, 100'000};
  return offer;
}

NodeOffer with_cards(NodeOffer offer, const std::vector<std::string>& classes) {
  for (const std::string& id : classes) {
    offer.cards.push_back({.device = std::to_string(offer.cards.size()), .class_id = id});
  }
  return offer;
}

PlacementRequest request(std::string group, int32_t cpu = 1, int64_t memory = 1024) {
  return {.group_id = std::move(group), .share = {cpu, memory, 1024}};
}

bool nobody(const std::string&) {
  return false;
}

std::string best_of(const OfferBook& book, const PlacementRequest& wish,
                    const IsExcluded& excluded = nobody) {
  uint64_t looked = 0;
  const NodeOffer* offer = OfferBook::best(*book.aim(wish, excluded, looked));
  return offer == nullptr ? "" : offer->node_id;
}

TEST(Planner, CountryGpuGroupAndExclusionAreHardRules) {
  PlacementRequest wish = request("g");
  wish.country_codes = {"de"};
  wish.gpu_classes = {"x"};
  NodeOffer offer = with_cards(node("n", "de"), {"x"});
  EXPECT_EQ(fit_of(wish, offer, nobody), Fit::Yes);
  EXPECT_EQ(fit_of(wish, offer, [](const std::string& id) { return id == "n"; }), Fit::Excluded);
  offer.groups = {"g"};
  EXPECT_EQ(fit_of(wish, offer, nobody), Fit::Taken);
  offer.cards[0].holder = "somebody";
  EXPECT_EQ(fit_of(wish, offer, nobody), Fit::Gpu);
  offer.country = "us";
  EXPECT_EQ(fit_of(wish, offer, nobody), Fit::Country);
  wish = request("g", 5);
  EXPECT_EQ(fit_of(wish, node("n"), nobody), Fit::TooSmall);
  wish = request("g", 3);
  offer = node("n");
  offer.free.cpu = 2;
  EXPECT_EQ(fit_of(wish, offer, nobody), Fit::Busy);
}

TEST(Planner, AMisfitIsSaidInNumbers) {
  Misfit misfit;
  for (const Fit fit : {Fit::Country, Fit::Country, Fit::Excluded}) misfit.add(fit, 1);
  misfit.add(Fit::Country, -1);
  EXPECT_EQ(
      misfit.text(),
      "Waiting for a node: of 2 online, 1 in other countries, 1 excluded after a reallocation "
      "or a failure.");
}

// Goal: three groups on two cards leave nobody without a card that could have one. Method: all
// orders in which they come, and cards told to nobody yet.
TEST(Cards, AreMatchedNotTakenByTheFirst) {
  const std::vector<std::vector<std::string>> wishes = {{"x", "y"}, {"y", "z"}, {"x"}};
  std::vector<size_t> order = {0, 1, 2};
  do {
    NodeOffer offer = with_cards(node("n"), {"x", "y", "z"});
    for (const size_t i : order) {
      const auto choice = choose_card(offer, wishes[i], {});
      ASSERT_TRUE(choice) << order[0] << order[1] << order[2];
      for (const auto& [holder, device] : choice->moved) {
        for (Card& card : offer.cards) {
          if (card.holder == holder) card.holder.clear();
        }
      }
      const auto give = [&](const std::string& holder, const std::string& device,
                            const std::vector<std::string>& takes) {
        Card& card = offer.cards[std::stoul(device)];
        EXPECT_TRUE(card.holder.empty());
        EXPECT_NE(std::ranges::find(takes, card.class_id), takes.end());
        card.holder = holder;
        card.holder_takes = takes;
      };
      for (const auto& [holder, device] : choice->moved) {
        give(holder, device, wishes[std::stoul(holder)]);
      }
      give(std::to_string(i), choice->device, wishes[i]);
    }
  } while (std::ranges::next_permutation(order).found);
}

TEST(Cards, WhatOthersWaitForIsTakenLast) {
  const NodeOffer offer = with_cards(node("n"), {"x", "y"});
  EXPECT_EQ(choose_card(offer, {"x", "y"}, {{"x", 5}})->device, "1");
  EXPECT_EQ(choose_card(offer, {"x", "y"}, {{"y", 5}})->device, "0");
}

TEST(Cards, OneThatSomebodyWasToldOfStaysHis) {
  NodeOffer offer = with_cards(node("n"), {"x", "y"});
  offer.cards[0].holder = "a";
  EXPECT_FALSE(choose_card(offer, {"x"}, {}));
  offer.cards[0].holder_takes = {"x", "y"};
  EXPECT_TRUE(choose_card(offer, {"x"}, {}));
}

TEST(OfferBook, WithoutGpuWishAGpuIsLeftAloneWhilePossible) {
  OfferBook book;
  book.put(with_cards(node("a-gpu", "us", 64, 65536), {"x"}));
  EXPECT_EQ(best_of(book, request("g")), "a-gpu");
  book.put(node("z"));
  EXPECT_EQ(best_of(book, request("g")), "z");
}

TEST(OfferBook, GroupsEnterEqualNodesAtDifferentPlaces) {
  OfferBook book;
  for (int i = 0; i < 16; ++i) book.put(node("n" + std::to_string(i)));
  std::set<std::string> chosen;
  for (int i = 0; i < 64; ++i) chosen.insert(best_of(book, request("g" + std::to_string(i))));
  EXPECT_GT(chosen.size(), 10u);
}

// A fleet of anything, and what it has to be compared with.
class RandomFleet {
 public:
  explicit RandomFleet(uint64_t seed) : random(seed) {}

  NodeOffer random_offer(const std::string& id) {
    NodeOffer offer = node(id, pick(countries), static_cast<int32_t>(1 + random.below(16)),
                           1024 * static_cast<int64_t>(1 + random.below(32)));
    for (uint64_t i = random.chance(0.5) ? 1 + random.below(2) : 0; i > 0; --i) {
      offer = with_cards(std::move(offer), {pick(classes)});
      if (random.chance(0.3)) offer.cards.back().holder = "somebody";
    }
    offer.free.cpu -= static_cast<int32_t>(random.below(static_cast<uint64_t>(offer.free.cpu) + 2));
    offer.free.memory_mb /= static_cast<int64_t>(1 + random.below(3));
    offer.instances = random.below(4);
    for (int g = 0; g < 6; ++g) {
      if (random.chance(0.1)) offer.groups.insert("g" + std::to_string(g));
    }
    return offer;
  }
  PlacementRequest random_request() {
    PlacementRequest wish =
        request("g" + std::to_string(random.below(6)), static_cast<int32_t>(1 + random.below(8)),
                static_cast<int64_t>(1024 * (1 + random.below(16))));
    if (random.chance(0.3)) wish.country_codes = {pick(countries)};
    if (random.chance(0.3)) wish.country_codes = {"de", "us"};
    if (random.chance(0.5)) wish.gpu_classes = {pick(classes)};
    if (random.chance(0.2)) wish.gpu_classes = {"x", "y"};
    return wish;
  }
  // By looking at all.
  std::string best(const PlacementRequest& wish) const {
    const NodeOffer* found = nullptr;
    for (const auto& [id, offer] : offers) {
      if (fit_of(wish, offer, excluded) != Fit::Yes) continue;
      if (found == nullptr || cost_of(wish, offer) < cost_of(wish, *found)) found = &offer;
    }
    return found == nullptr ? "" : found->node_id;
  }
  int32_t count_able(const PlacementRequest& wish) const {
    return static_cast<int32_t>(std::ranges::count_if(
        offers, [&](const auto& entry) { return could_carry(wish, entry.second, excluded); }));
  }
  Misfit misfit(const PlacementRequest& wish) const {
    Misfit out;
    for (const auto& [id, offer] : offers) out.add(fit_of(wish, offer, excluded), 1);
    return out;
  }

  SeededRandom random;
  std::map<std::string, NodeOffer> offers;
  const IsExcluded excluded = [](const std::string& id) { return id.ends_with("7"); };

 private:
  std::string pick(const std::vector<std::string>& of) { return of[random.below(of.size())]; }
  const std::vector<std::string> countries = {"de", "jp", "us"};
  const std::vector<std::string> classes = {"x", "y", "z"};
};

// Goal: a search finds what looking at all nodes finds. Method: random nodes that come, change and
// go, and after each a random request.
TEST(OfferBook, FindsWhatLookingAtAllFinds) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    RandomFleet fleet(seed);
    OfferBook book;
    for (int step = 0; step < 200; ++step) {
      const std::string id = "n" + std::to_string(fleet.random.below(40));
      if (fleet.random.chance(0.2)) {
        book.withdraw(id);
        fleet.offers.erase(id);
      } else {
        const NodeOffer offer = fleet.random_offer(id);
        book.put(offer);
        fleet.offers[id] = *book.find(id);
      }
      ASSERT_EQ(book.size(), fleet.offers.size());
      const PlacementRequest wish = fleet.random_request();
      uint64_t looked = 0;
      const auto aim = book.aim(wish, fleet.excluded, looked);
      const NodeOffer* best = OfferBook::best(*aim);
      ASSERT_EQ(best == nullptr ? "" : best->node_id, fleet.best(wish)) << seed << " " << step;
      ASSERT_EQ(OfferBook::count_able(*aim, 1000), fleet.count_able(wish));
      EXPECT_EQ(OfferBook::count_able(*aim, 3), std::min(3, fleet.count_able(wish)));
    }
  }
}

TEST(WaitingBook, KnowsWhatLookingAtAllWouldFind) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    RandomFleet fleet(seed);
    OfferBook book;
    WaitingBook waiting;
    std::map<std::string, PlacementRequest> kept;
    uint64_t looked = 0;
    const auto excluded = [&](const std::string&, const std::string& id) {
      return fleet.excluded(id);
    };
    for (int step = 0; step < 300; ++step) {
      const std::string id = "n" + std::to_string(fleet.random.below(20));
      std::optional<size_t> number;
      if (fleet.random.chance(0.2)) {
        number = book.withdraw(id);
        fleet.offers.erase(id);
      } else {
        number = book.put(fleet.random_offer(id));
        fleet.offers[id] = *book.find(id);
      }
      if (number) {
        const NodeOffer* offer = book.at(*number);
        std::vector<std::string> fitting;
        for (const auto& [group, wish] : kept) {
          const bool fits = offer != nullptr && fit_of(wish, *offer, fleet.excluded) == Fit::Yes;
          if (fits) fitting.push_back(group);
        }
        EXPECT_EQ(waiting.review(*number, offer, excluded, looked), fitting);
      }
      const PlacementRequest wish = fleet.random_request();
      if (fleet.random.chance(0.1)) {
        waiting.keep(wish, book, fleet.excluded, looked);
        kept[wish.group_id] = wish;
      } else if (fleet.random.chance(0.05)) {
        waiting.forget(wish.group_id);
        kept.erase(wish.group_id);
      }
      ASSERT_EQ(waiting.size(), kept.size());
      for (const auto& [group, known] : kept) {
        ASSERT_EQ(*waiting.find(group), fleet.misfit(known)) << seed << " " << step;
      }
    }
  }
}

// Goal: what a search costs grows with the depth of the tree, not with the number of nodes, full or
// empty.
TEST(OfferBook, ASearchLooksAtFewOfMany) {
  OfferBook book;
  constexpr int kNodes = 8'192;
  for (int i = 0; i < kNodes; ++i) book.put(node("n" + std::to_string(i)));
  uint64_t looked = 0;
  const auto aim = book.aim(request("g"), nobody, looked);
  for (int i = 0; i < 500; ++i) {
    const NodeOffer* best = OfferBook::best(*aim);
    ASSERT_NE(best, nullptr);
    NodeOffer less = *best;
    less.free.cpu -= 1;
    less.groups.insert("g");
    ++less.instances;
    book.put(less);
  }
  EXPECT_LT(looked, 500u * 64);
  looked = 0;
  EXPECT_EQ(best_of(book, request("h", 5)), "");
  uint64_t in_vain = 0;
  EXPECT_EQ(OfferBook::best(*book.aim(request("h", 5), nobody, in_vain)), nullptr);
  EXPECT_LE(in_vain, 1u) << "no node is large enough, and the root knows";
}

}  // namespace
}  // namespace mesclun::cloud
