#include "cloud/placement_planner.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace mesclun::cloud {
namespace {

NodeOffer node(std::string id, std::string country = "us", int32_t cpu = 4, int64_t memory = 8192) {
  NodeOffer offer{.node_id = std::move(id), .country = std::move(country)};
  offer.cpu = offer.cpu_free = cpu;
  offer.memory_mb = offer.memory_free_mb = memory;
  offer.storage_free_mb = 100'000;
  return offer;
}

PlacementRequest request(std::string id, std::string group, int32_t cpu = 1,
                         int32_t memory = 1024) {
  PlacementRequest out{.allocation_id = std::move(id), .group_id = std::move(group)};
  out.resources.cpu = cpu;
  out.resources.memory = memory;
  return out;
}

TEST(Planner, OneInstanceOfAGroupPerNode) {
  const auto plan = plan_placements({request("a", "g"), request("b", "g"), request("c", "g")},
                                    {node("n1"), node("n2")});
  ASSERT_EQ(plan.placements.size(), 2u);
  EXPECT_NE(plan.placements[0].node_id, plan.placements[1].node_id);
  EXPECT_EQ(plan.placements[0].nodes_left, 1) << "the other node";
  EXPECT_EQ(plan.placements[1].nodes_left, 0);
  ASSERT_TRUE(plan.misfits.contains("g"));
  EXPECT_EQ(plan.misfits.at("g").taken, 2u);
}

TEST(Planner, CountryGpuAndExclusionAreHardRules) {
  NodeOffer with_gpu = node("gpu", "de");
  with_gpu.has_gpu = true;
  with_gpu.gpu_classes_free = {"class-1"};
  NodeOffer excluded = node("excluded", "de");
  excluded.excluded = {"g"};
  PlacementRequest wants = request("a", "g");
  wants.country_codes = {"de"};
  auto plan = plan_placements({wants}, {node("n1", "us"), excluded});
  EXPECT_TRUE(plan.placements.empty());
  EXPECT_EQ(plan.misfits.at("g").country, 1u);
  EXPECT_EQ(plan.misfits.at("g").excluded, 1u);
  EXPECT_NE(plan.misfits.at("g").text().find("1 in other countries"), std::string::npos);

  wants.resources.gpu_classes = {"class-1"};
  PlacementRequest second = wants;
  second.allocation_id = "b";
  second.group_id = "h";
  plan = plan_placements({wants, second}, {with_gpu});
  ASSERT_EQ(plan.placements.size(), 1u) << "one GPU carries one instance";
}

TEST(Planner, WithoutGpuWishAGpuIsLeftAloneWhilePossible) {
  NodeOffer with_gpu = node("a-gpu", "us", 64, 65536);
  with_gpu.has_gpu = true;
  with_gpu.gpu_classes_free = {"class-1"};
  const auto plan = plan_placements({request("a", "g"), request("b", "g")}, {with_gpu, node("z")});
  ASSERT_EQ(plan.placements.size(), 2u);
  EXPECT_EQ(plan.placements[0].node_id, "z");
}

TEST(Planner, BetterPriorityThenOlderGetsTheRoom) {
  PlacementRequest batch = request("a", "batch", 4);
  PlacementRequest high = request("b", "high", 4);
  high.priority = api::Priority::High;
  high.waiting_since = 5;
  PlacementRequest older = request("c", "older", 4);
  older.waiting_since = -1;
  auto plan = plan_placements({batch, high, older}, {node("n1")});
  ASSERT_EQ(plan.placements.size(), 1u);
  EXPECT_EQ(plan.placements[0].allocation_id, "b");
  plan = plan_placements({batch, older}, {node("n1")});
  EXPECT_EQ(plan.placements[0].allocation_id, "c");
}

TEST(Planner, SpreadsOverEqualNodes) {
  std::vector<PlacementRequest> requests;
  for (int i = 0; i < 8; ++i)
    requests.push_back(request("a" + std::to_string(i), "g" + std::to_string(i)));
  const auto plan = plan_placements(requests, {node("n1"), node("n2"), node("n3"), node("n4")});
  std::map<std::string, int> count;
  for (const Placement& placement : plan.placements) ++count[placement.node_id];
  for (const auto& [id, n] : count) EXPECT_EQ(n, 2) << id;
}

// Goal: no plan breaks a hard rule or leaves out what fits. Method: random fleets and requests; the
// rules are checked again on the outcome by other means.
TEST(Planner, RandomFleetsNeverBreakARule) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SeededRandom random(seed);
    const char* countries[] = {"us", "de", "jp"};
    const char* classes[] = {"x", "y"};
    std::vector<NodeOffer> offers;
    for (uint64_t i = 0, n = random.below(30); i < n; ++i) {
      NodeOffer& offer =
          offers.emplace_back(node("n" + std::to_string(i), countries[random.below(3)],
                                   static_cast<int32_t>(1 + random.below(8)),
                                   1024 * static_cast<int64_t>(1 + random.below(16))));
      if (random.chance(0.3)) offer.gpu_classes_free = {classes[random.below(2)]};
      offer.has_gpu = !offer.gpu_classes_free.empty();
      if (random.chance(0.2)) offer.excluded.insert("g" + std::to_string(random.below(5)));
      if (random.chance(0.2)) offer.groups.insert("g" + std::to_string(random.below(5)));
    }
    std::vector<PlacementRequest> requests;
    std::map<std::string, PlacementRequest> groups;
    for (int g = 0; g < 5; ++g) {
      PlacementRequest wish =
          request("", "g" + std::to_string(g), static_cast<int32_t>(1 + random.below(4)),
                  static_cast<int32_t>(1024 * (1 + random.below(8))));
      if (random.chance(0.3)) wish.country_codes = {countries[random.below(3)]};
      if (random.chance(0.3)) wish.resources.gpu_classes = {classes[random.below(2)]};
      wish.priority = static_cast<api::Priority>(random.below(4));
      groups[wish.group_id] = wish;
      for (uint64_t i = 0, n = random.below(8); i < n; ++i) {
        wish.allocation_id = wish.group_id + "-" + std::to_string(i);
        requests.push_back(wish);
      }
    }
    const PlacementPlan plan = plan_placements(requests, offers);

    std::map<std::string, NodeOffer> left;
    for (const NodeOffer& offer : offers) left[offer.node_id] = offer;
    for (const Placement& placement : plan.placements) {
      const std::string group = placement.allocation_id.substr(0, 2);
      const PlacementRequest& wish = groups.at(group);
      NodeOffer& on = left.at(placement.node_id);
      on.cpu_free -= wish.resources.cpu;
      on.memory_free_mb -= wish.resources.memory;
      EXPECT_GE(on.cpu_free, 0) << "seed " << seed;
      EXPECT_GE(on.memory_free_mb, 0) << "seed " << seed;
      EXPECT_TRUE(on.groups.insert(group).second) << "two of one group on a node, seed " << seed;
      EXPECT_FALSE(on.excluded.contains(group)) << "seed " << seed;
      if (!wish.country_codes.empty()) EXPECT_EQ(on.country, wish.country_codes[0]);
      if (wish.resources.gpu_classes.empty()) continue;
      const auto gpu = std::ranges::find(on.gpu_classes_free, wish.resources.gpu_classes[0]);
      ASSERT_NE(gpu, on.gpu_classes_free.end()) << "seed " << seed;
      on.gpu_classes_free.erase(gpu);
    }
    // Whoever was left out fits nowhere in what remains.
    EXPECT_EQ(
        plan.placements.size() +
            [&] {
              size_t missing = 0;
              for (const PlacementRequest& wish : requests) {
                if (std::ranges::none_of(plan.placements, [&](const Placement& p) {
                      return p.allocation_id == wish.allocation_id;
                    })) {
                  ++missing;
                  EXPECT_TRUE(plan.misfits.contains(wish.group_id)) << "seed " << seed;
                  std::vector<NodeOffer> rest;
                  for (const auto& [id, offer] : left) rest.push_back(offer);
                  EXPECT_TRUE(plan_placements({wish}, rest).placements.empty()) << "seed " << seed;
                }
              }
              return missing;
            }(),
        requests.size());
  }
}

}  // namespace
}  // namespace mesclun::cloud
