// What is placed where, and who has to wait: the rules of placement.h over a whole fleet.
#include <fmt/format.h>

#include "cloud/fleet_placement.h"

#include "cloud/fleet_test_kit.h"
#include "cloud/fleet_tumult.h"

namespace mesclun::cloud {
namespace {

const Share kNothing;

Share operator+(const Share& a, const Share& b) {
  return {a.cpu + b.cpu, a.memory_mb + b.memory_mb, a.storage_mb + b.storage_mb};
}

// What holds at every moment, looked at from the rows alone.
void check_rules(const Tumult& tumult) {
  const Fleet& fleet = tumult.fleet;
  const int64_t wall = to_unix_nanos(tumult.now().wall);
  for (const auto& [node_id, node] : fleet.nodes.all()) {
    Share counted = kNothing;
    std::set<std::string> groups;
    std::set<std::string> cards;
    for (const std::string& id : fleet.allocations.on_node(node_id)) {
      const Allocation& row = fleet.allocations.at(id);
      if (row.done()) continue;
      EXPECT_TRUE(groups.insert(row.group_id).second) << "two of one group on a node";
      EXPECT_TRUE(row.gpu.empty() || cards.insert(row.gpu).second) << "a GPU has two holders";
      // It may run with the limits that it reported, or with those that it is told.
      for (const int32_t version : {row.status.version, row.wish.version}) {
        const auto known = tumult.specs.find({row.group_id, version});
        if (known == tumult.specs.end() || row.wish.stop) continue;
        EXPECT_TRUE(is_within(known->second.share, row.share)) << "holds less than it uses";
      }
      if (!row.counts()) continue;
      counted = counted + row.share;
      const PlacementRequest& wish = tumult.specs.at({row.group_id, row.wish.version});
      EXPECT_FALSE(fleet.exclusions.holds(row.group_id, node_id, wall));
      EXPECT_TRUE(is_country_of(wish, empty_offer(node)));
      const NodeOffer offer = empty_offer(node);
      const auto card = std::ranges::find(offer.cards, row.wish.gpu, &Card::device);
      EXPECT_EQ(card != offer.cards.end(), !wish.gpu_classes.empty());
      if (card != offer.cards.end()) EXPECT_TRUE(is_class_of(wish, card->class_id));
      if (!row.wish.gpu.empty()) EXPECT_EQ(row.wish.gpu, row.gpu);
    }
    const Share all{node.facts.cpu, node.facts.memory_mb, node.facts.storage_mb};
    EXPECT_TRUE(is_within(counted, all)) << "over-committed: " << counted.cpu << " cores";
  }
}

// Nobody waits who would fit somewhere; and the reason is the one that looking at all nodes gives.
void check_waiting(const Tumult& tumult) {
  const Fleet& fleet = tumult.fleet;
  const int64_t wall = to_unix_nanos(tumult.now().wall);
  size_t waiting = 0;
  for (const auto& [group_id, line] : fleet.allocations.waiting()) {
    if (line.empty()) continue;
    ++waiting;
    const PlacementRequest wish = request_of(fleet.groups.at(group_id));
    const IsExcluded excluded = [&](const std::string& node_id) {
      return fleet.exclusions.holds(group_id, node_id, wall);
    };
    Misfit misfit;
    for (const std::string& node_id : fleet.nodes.offered()) {
      const NodeOffer offer = offer_of(fleet, fleet.nodes.at(node_id));
      const Fit fit = fit_of(wish, offer, excluded);
      EXPECT_NE(fit, Fit::Yes) << "a replica waits although a node fits";
      misfit.add(fit, 1);
    }
    const Misfit* known = fleet.waiting.find(group_id);
    ASSERT_NE(known, nullptr);
    EXPECT_EQ(known->text(), misfit.text());
  }
  EXPECT_EQ(fleet.waiting.size(), waiting);
}

void check_offers(const Fleet& fleet) {
  EXPECT_EQ(fleet.offers.size(), fleet.nodes.offered().size());
  for (const std::string& node_id : fleet.nodes.offered()) {
    const NodeOffer* kept = fleet.offers.find(node_id);
    ASSERT_NE(kept, nullptr);
    const NodeOffer made = offer_of(fleet, fleet.nodes.at(node_id));
    EXPECT_EQ(kept->free, made.free);
    EXPECT_EQ(kept->groups, made.groups);
    ASSERT_EQ(kept->cards.size(), made.cards.size());
    for (size_t i = 0; i < made.cards.size(); ++i) {
      EXPECT_EQ(kept->cards[i].holder, made.cards[i].holder);
    }
  }
}

class PlacementOfTumult : public testing::TestWithParam<uint64_t> {};

// Goal: whatever happens, no rule is broken and nobody waits in vain. Method: random calls by a
// seed, and after each a brute-force look at everything.
TEST_P(PlacementOfTumult, BreaksNoRuleAndLetsNobodyWaitInVain) {
  Tumult tumult(GetParam());
  int waited = 0;
  for (int i = 0; i < 600 && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    tumult.step();
    check_rules(tumult);
    if (idle_time(tumult.fleet, tumult.now()) == Duration::zero()) continue;
    check_waiting(tumult);
    check_offers(tumult.fleet);
    if (!tumult.fleet.allocations.waiting().empty()) ++waited;
  }
  EXPECT_GT(waited, 10);
  EXPECT_LT(waited, 590);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PlacementOfTumult, testing::Range<uint64_t>(1, 25));

class FleetPlacement : public FleetTest {
 protected:
  static std::string gpu(size_t i) { return api::known_gpu_classes()[i].id; }
  static std::string classes(const std::vector<size_t>& of, std::string_view name) {
    std::string list;
    for (const size_t i : of) list += (list.empty() ? "\"" : ", \"") + gpu(i) + "\"";
    return fmt::format(R"({{"name": "{}", "container": {{"resources": {{"gpu_classes": [{}]}}}}}})",
                       name, list);
  }
  int32_t placed(const std::string& group) {
    const GroupTally& tally = fleet_.allocations.tally(group);
    return tally.counted - tally.allocating;
  }
  PlacementWork spent(const std::function<void()>& act) {
    const PlacementWork before = fleet_.work;
    act();
    return {fleet_.work.offers_made - before.offers_made,
            fleet_.work.nodes_looked_at - before.nodes_looked_at};
  }
};

// Goal: two cards are had by two instances, never by three, whatever the order in which three
// groups come that share them.
TEST_F(FleetPlacement, TwoCardsAreHadByTwoInstances) {
  constexpr int kNodes = 20;
  for (int i = 0; i < kNodes; ++i) add_node("us", {gpu(0), gpu(1)});
  const std::vector<std::string> groups = {create(kNodes, classes({0}, "first")),
                                           create(kNodes, classes({0, 1}, "either")),
                                           create(kNodes, classes({1}, "second"))};
  settle_down();
  int32_t all = 0;
  for (const std::string& group : groups) all += placed(group);
  EXPECT_EQ(all, 2 * kNodes) << "no card is idle while somebody waits for it";
  for (const auto& [id, node] : fleet_.nodes.all()) {
    std::set<std::string> cards;
    for (const std::string& allocation_id : fleet_.allocations.on_node(id)) {
      const Allocation& row = fleet_.allocations.at(allocation_id);
      EXPECT_TRUE(cards.insert(row.gpu).second);
      EXPECT_EQ(row.wish.gpu, row.gpu);
      const auto assignments = desired_of(fleet_, id, 1).assignments;
      EXPECT_TRUE(std::ranges::any_of(assignments, [&](const link::Assignment& told) {
        return told.allocation_id == row.id && told.wish.gpu == row.gpu;
      }));
    }
  }
}

TEST_F(FleetPlacement, WhoTakesEitherCardLeavesTheOneThatOthersNeed) {
  for (int i = 0; i < 8; ++i) add_node("us", {gpu(0), gpu(1)});
  // In one turn, the one that would take either first.
  const auto spec = [&](const std::string& text) {
    json::value document = merge_patch(parse_json(R"({"name": "n", "autostart_policy": true,
        "replicas": 8, "container": {"image": "i", "resources": {"cpu": 1, "memory": 1024}}})")
                                           .value(),
                                       parse_json(text).value());
    return api::read_group_spec(document, api::known_gpu_classes()).value();
  };
  const ProjectIdentity project{"org", "acme", "project", "web"};
  const auto either = create_group(fleet_, project, spec(classes({0, 1}, "either")), 500, now());
  wait(1s);
  const auto first = create_group(fleet_, project, spec(classes({0}, "first")), 500, now());
  settle_down();
  EXPECT_EQ(placed(*either), 8);
  EXPECT_EQ(placed(*first), 8);
}

TEST_F(FleetPlacement, MoreRoomForOneGroupIsOnlyTakenWhereItIsFree) {
  add_node();  // four cores each
  add_node();
  const std::string wide = create(2, R"({"name": "wide", "container": {"resources": {"cpu": 2}}})");
  const std::string other = create(1, R"({"name": "other"})");
  report_all();
  const std::string crowded = serving(other)[0]->node_id;
  wait(fleet_.settings.update_settle);
  patch(wide, R"({"container": {"resources": {"cpu": 4}}})");
  EXPECT_EQ(count_events("Instance Reallocated by Platform"), 1u) << "2 + 1 + 2 of 4 cores";
  for (const std::string& id : fleet_.allocations.of_group(wide)) {
    const Allocation& row = fleet_.allocations.at(id);
    if (!row.placed()) continue;
    EXPECT_EQ(row.wish.stop, row.node_id == crowded);
    EXPECT_EQ(row.share.cpu, row.wish.stop ? 2 : 4);
  }
}

TEST_F(FleetPlacement, LessIsHeldOnlyOnceTheNodeCarriesIt) {
  const std::string node = add_node();
  const std::string group = create(1, R"({"container": {"resources": {"cpu": 4}}})");
  report_all();
  const std::string next = create(1, R"({"name": "next"})");
  const Allocation before = *serving(group)[0];
  patch(group, R"({"container": {"resources": {"cpu": 3}}})");
  EXPECT_EQ(placed(next), 0) << "the old limits still hold there";
  EXPECT_EQ(serving(group)[0]->status.instance_id, before.status.instance_id) << "no restart";
  EXPECT_EQ(serving(group)[0]->wish.run, before.wish.run);
  report(node);
  EXPECT_EQ(fleet_.allocations.at(before.id).share.cpu, 3);
  EXPECT_EQ(placed(next), 1);
}

TEST_F(FleetPlacement, AMachineThatCameBackSmallerKeepsWhatFits) {
  const std::string node = add_node();
  std::vector<std::string> groups;
  for (const char* name : {"one", "two", "three"}) {
    groups.push_back(create(1, fmt::format(R"({{"name": "{}"}})", name)));
    wait(1s);
  }
  report_all();
  join(node, "us", {}, 2);
  report(node);
  EXPECT_EQ(serving(groups[0]).size() + serving(groups[1]).size(), 2u) << "the oldest";
  EXPECT_EQ(placed(groups[2]), 0);
  EXPECT_EQ(count_events("Instance Reallocated by Platform"), 1u);
}

TEST_F(FleetPlacement, ALargeGroupIsPlacedInSlices) {
  for (int i = 0; i < 600; ++i) add_node();
  const std::string group = create(500);
  EXPECT_GT(placed(group), 0);
  EXPECT_LE(placed(group), static_cast<int32_t>(PlacementSlice{}.placements_max));
  EXPECT_EQ(idle_time(fleet_, now()), Duration::zero()) << "the next turn goes on";
  settle_down();
  EXPECT_EQ(placed(group), 500);
}

// Goal: work grows with what changed. Method: count offers made and nodes looked at.
TEST_F(FleetPlacement, OneReplicaOrOneNodeDoesNotLookAtAll) {
  constexpr uint64_t kNodes = 1'000;
  std::string last;
  for (uint64_t i = 0; i < kNodes; ++i) last = add_node();
  const PlacementWork one = spent([this] { create(1); });
  EXPECT_EQ(one.offers_made, 1u);
  EXPECT_LT(one.nodes_looked_at, 400u) << "a hundred of them to count those that are left";
  const std::string unplaceable =
      create(3, R"({"name": "large", "container": {"resources": {"cpu": 8}}})");
  EXPECT_EQ(placed(unplaceable), 0);
  const PlacementWork rejoin = spent([&] {
    node_left(fleet_, last, sessions_[last], now());
    turn();
    join(last);
    report(last);
  });
  EXPECT_LE(rejoin.offers_made, 3u);
  EXPECT_LE(rejoin.nodes_looked_at, 3u) << "once a change for the one group that waits";
  EXPECT_EQ(waiting_reason(fleet_, fleet_.groups.at(unplaceable)),
            "Waiting for a node: of 1000 online, 1000 too small.");
  const PlacementWork nothing = spent([this] { report_all(); });
  EXPECT_EQ(nothing.nodes_looked_at, 0u);
}

}  // namespace
}  // namespace mesclun::cloud
