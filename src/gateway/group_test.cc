// Choosing an instance, and waiting for one.
#include "gateway/group.h"

#include <fmt/format.h>

#include "base/random.h"
#include "gateway/route_table.h"
#include "gateway/test_world.h"

namespace mesclun::gateway {
namespace {

using Verdict = BalanceResult::Verdict;

const std::vector<std::string> kNoneTried;

BalanceResult choose_from(const std::vector<Candidate>& all, BalanceRule rule, size_t start) {
  return choose(all.size(), [&](size_t i) { return all[i]; }, rule, start);
}

TEST(Balancer, RoundRobinGoesRoundTheEligible) {
  const std::vector<Candidate> all = {{true}, {false}, {true}, {true}};
  EXPECT_EQ(choose_from(all, {}, 0).index, 0u);
  EXPECT_EQ(choose_from(all, {}, 1).index, 2u);
  EXPECT_EQ(choose_from(all, {}, 3).index, 3u);
  EXPECT_EQ(choose_from(all, {}, 4).index, 0u);
}

TEST(Balancer, LeastConnectionsGoesRoundAmongTies) {
  const BalanceRule rule{.least_connections = true};
  const std::vector<Candidate> all = {{true, false, 2}, {true, false, 1}, {true, false, 1}};
  EXPECT_EQ(choose_from(all, rule, 0).index, 1u);
  EXPECT_EQ(choose_from(all, rule, 2).index, 2u);
}

TEST(Balancer, SuspectOnesAreTheLastResort) {
  for (const bool least : {false, true}) {
    const BalanceRule rule{.least_connections = least};
    EXPECT_EQ(choose_from({{true, true, 0}, {true, false, 9}}, rule, 0).index, 1u);
    EXPECT_EQ(choose_from({{true, true, 0}, {true, true, 0}}, rule, 1).index, 1u);
  }
  const BalanceRule single{.one_at_a_time = true};
  EXPECT_EQ(choose_from({{true, true, 0}, {true, false, 1}}, single, 0).verdict, Verdict::AllBusy)
      << "waits for the trusted one";
}

TEST(Balancer, OneAtATimeTellsBusyFromNone) {
  const BalanceRule single{.one_at_a_time = true};
  EXPECT_EQ(choose_from({{true, false, 1}, {true, false, 0}}, single, 0).index, 1u);
  EXPECT_EQ(choose_from({{true, false, 1}, {false, false, 0}}, single, 0).verdict,
            Verdict::AllBusy);
  EXPECT_EQ(choose_from({{false, false, 0}}, single, 0).verdict, Verdict::NoneEligible);
  EXPECT_EQ(choose_from({}, single, 5).verdict, Verdict::NoneEligible);
}

TEST(Balancer, AgreesWithThePlainDefinition) {
  SeededRandom random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<Candidate> all(random.below(6));
    for (Candidate& one : all) {
      one = {random.chance(0.7), random.chance(0.3), static_cast<uint32_t>(random.below(3))};
    }
    const BalanceRule rule{random.chance(0.5), random.chance(0.5)};
    const size_t start = random.below(8);
    const bool trusted =
        std::ranges::any_of(all, [](const Candidate& one) { return one.eligible && !one.suspect; });
    const bool any = std::ranges::any_of(all, &Candidate::eligible);
    std::optional<size_t> best;
    for (size_t step = 0; step < all.size(); ++step) {
      const size_t i = (start + step) % all.size();
      if (!all[i].eligible || (all[i].suspect && trusted)) continue;
      if (rule.one_at_a_time && all[i].in_flight > 0) continue;
      if (!best || (rule.least_connections && all[i].in_flight < all[*best].in_flight)) best = i;
    }
    const BalanceResult result = choose_from(all, rule, start);
    ASSERT_EQ(result.verdict, best  ? Verdict::Chosen
                              : any ? Verdict::AllBusy
                                    : Verdict::NoneEligible);
    if (best) ASSERT_EQ(result.index, *best);
  }
}

// Instances whose nodes have real tunnels.
struct Nodes : TestWorld {
  explicit Nodes(link::Route route) {
    for (size_t i = 1; i <= route.instances.size(); ++i) add_node(fmt::format("m{}", i));
    set_routes({std::move(route)});
  }
  GroupPtr served() { return gateway.table().find("g.example"); }
};

TEST(Group, RoundRobinGoesOnOverRouteUpdates) {
  Nodes world(make_route(3));
  const GroupPtr group = world.served();
  EXPECT_EQ(group->admit().slot->instance().id, "i1");
  world.set_routes({make_route(4)});
  EXPECT_EQ(group->admit().slot->instance().id, "i2");
  EXPECT_EQ(group->admit().slot->instance().id, "i3");
  EXPECT_EQ(group->in_flight(), 0u);
}

TEST(Group, CountsBelongToTheInstanceThatTheyBeganAt) {
  Nodes world(make_route(2));
  const GroupPtr group = world.served();
  std::optional<InFlight> first(std::move(group->admit().slot));
  EXPECT_EQ(first->instance().id, "i1");
  world.set_routes({make_route(0)});
  EXPECT_EQ(group->in_flight(), 1u) << "goes on at an instance that left";
  first.reset();
  EXPECT_EQ(group->in_flight(), 0u);
}

TEST(Group, WaitersAreServedInOrderAndUpToTheBound) {
  link::Route route = make_route(1);
  route.single_connection_limit = true;
  Nodes world(route);
  const GroupPtr group = world.served();
  std::optional<InFlight> busy(std::move(group->admit().slot));
  std::list<Waiter> waiters;
  for (size_t i = 0; i < Group::kWaitingMax; ++i) {
    waiters.emplace_back(world.loop.executor(), group, kNoneTried);
    EXPECT_TRUE(group->wait(waiters.back()));
  }
  Waiter over(world.loop.executor(), group, kNoneTried);
  EXPECT_FALSE(group->wait(over));
  waiters.erase(std::next(waiters.begin()));  // one gives up
  busy.reset();
  EXPECT_TRUE(waiters.front().granted);
  EXPECT_EQ(group->admit().verdict, Verdict::AllBusy) << "nobody overtakes";
  waiters.pop_front();
  EXPECT_TRUE(waiters.front().granted);
  EXPECT_FALSE(waiters.back().granted);
  EXPECT_EQ(group->in_flight(), 1u);
  while (!waiters.empty()) {
    EXPECT_TRUE(waiters.front().granted);
    waiters.pop_front();
  }
  EXPECT_EQ(group->waiting(), 0u);
  EXPECT_EQ(group->in_flight(), 0u);
}

TEST(Group, WhoWaitsDoesNotGetWhatHasFailedIt) {
  link::Route route = make_route(2);
  route.single_connection_limit = true;
  Nodes world(route);
  world.add_node("m2");
  const GroupPtr group = world.served();
  std::optional<InFlight> first(std::move(group->admit().slot));
  std::optional<InFlight> second(std::move(group->admit().slot));
  ASSERT_EQ(first->instance().id, "i1");
  const std::vector<std::string> tried = {"i1"};
  Waiter once_failed(world.loop.executor(), group, tried);
  Waiter other(world.loop.executor(), group, kNoneTried);
  ASSERT_TRUE(group->wait(once_failed));
  ASSERT_TRUE(group->wait(other));
  first.reset();
  EXPECT_FALSE(once_failed.granted);
  ASSERT_TRUE(other.granted) << "it holds nobody up";
  EXPECT_EQ(other.granted->instance().id, "i1");
  second.reset();
  ASSERT_TRUE(once_failed.granted);
  EXPECT_EQ(once_failed.granted->instance().id, "i2");
}

TEST(Group, ANewInstanceServesThoseThatWait) {
  link::Route route = make_route(1);
  route.single_connection_limit = true;
  Nodes world(route);
  world.add_node("m2");
  const GroupPtr group = world.served();
  const std::optional<InFlight> busy(std::move(group->admit().slot));
  Waiter waiter(world.loop.executor(), group, kNoneTried);
  ASSERT_TRUE(group->wait(waiter));
  link::Route larger = make_route(2);
  larger.single_connection_limit = true;
  world.set_routes({larger});
  ASSERT_TRUE(waiter.granted);
  EXPECT_EQ(waiter.granted->instance().id, "i2");
}

TEST(RouteTable, FindsHostsWhateverTheirCaseAndPort) {
  EXPECT_EQ(host_name("Name.Example.COM:8801"), "name.example.com");
  EXPECT_EQ(host_name("name.example."), "name.example");
  EXPECT_EQ(host_name("[::1]:80"), "[::1]");
}

TEST(RouteTable, PartialUpdatesChangeOnlyWhatTheyName) {
  TestWorld world;
  link::Route other = make_route(0);
  other.dns = "other.example";
  world.set_routes({make_route(1), other});
  link::RouteUpdate change;
  change.routes = {make_route(2)};
  world.gateway.table().apply(std::move(change));
  EXPECT_EQ(world.group("g.example").instances().size(), 2u);
  EXPECT_NE(world.gateway.table().find("other.example"), nullptr);
  world.set_routes({make_route(1)});
  EXPECT_EQ(world.gateway.table().find("other.example"), nullptr) << "a complete one replaces all";
}

}  // namespace
}  // namespace mesclun::gateway
