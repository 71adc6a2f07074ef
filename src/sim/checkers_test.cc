// Each checker lets the good through and finds what it is for: fleets are as the rules make them,
// and then spoilt by hand.
#include <gtest/gtest.h>

#include "base/virtual_clock.h"
#include "cloud/fleet_drain.h"
#include "cloud/fleet_test_kit.h"
#include "sim/event_audit.h"
#include "sim/ledger.h"
#include "sim/placement_rules.h"
#include "sim/turn_checker.h"

namespace mesclun::sim {
namespace {

const std::string kSmallGpu = api::known_gpu_classes().front().id;
const std::string kLargeGpu = api::known_gpu_classes().back().id;

class CheckersTest : public cloud::FleetTest {
 protected:
  const cloud::Node& node(const std::string& id) const { return fleet_.nodes.at(id); }
  const cloud::Group& group(const std::string& id) const { return fleet_.groups.at(id); }
  std::string only_allocation(const std::string& group_id) const {
    return *fleet_.allocations.of_group(group_id).begin();
  }
  std::string gpu_patch(const std::string& gpu) const {
    return R"({"container": {"resources": {"gpu_classes": [")" + gpu + R"("]}}})";
  }
  bool room(const std::string& group_id, const std::string& node_id) const {
    return has_room(fleet_, group(group_id), node(node_id), {}, now().wall);
  }
  // The next turn, as the checker sees it.
  void look(const std::set<std::string>& succeeded = {}) {
    cloud::reconcile(fleet_, now());
    turns_.look(fleet_, succeeded);
    turn();
  }

  asio::io_context io_;
  VirtualClock clock_{io_};
  Violations violations_{clock_};
  Ledger ledger_{clock_, violations_};
  Ears ears_{clock_, 4, [](const std::string&, const std::string&) { return true; }};
  bool runs_ = true;
  TurnChecker turns_{clock_, ears_, ledger_, violations_,
                     [this](const std::string&, const std::string&) { return runs_; }};
};

TEST_F(CheckersTest, AFleetAsTheRulesMakeItBreaksNone) {
  const std::string id = add_node("de", {kSmallGpu});
  create(1, gpu_patch(kSmallGpu));
  EXPECT_TRUE(fleet_.allocations.waiting().empty());
  EXPECT_TRUE(broken_rules(fleet_, node(id)).empty());
}

TEST_F(CheckersTest, EachRuleOfPlacementIsJudged) {
  const std::string id = add_node("de", {kSmallGpu});
  const std::string group_id = create(1, gpu_patch(kSmallGpu));
  const std::string allocation = only_allocation(group_id);
  const auto spoilt = [&](const std::function<void(cloud::Allocation&)>& edit) {
    const cloud::Allocation before = fleet_.allocations.at(allocation);
    fleet_.allocations.change(allocation, edit);
    const size_t broken = broken_rules(fleet_, node(id)).size();
    fleet_.allocations.change(allocation, [&](cloud::Allocation& row) { row = before; });
    return broken;
  };
  EXPECT_EQ(spoilt([](cloud::Allocation& row) { row.share.cpu = 5; }), 1u);
  EXPECT_EQ(spoilt([](cloud::Allocation& row) { row.share.memory_mb = 8193; }), 1u);
  EXPECT_EQ(spoilt([](cloud::Allocation& row) { row.share.storage_mb = 100'001; }), 1u);
  EXPECT_EQ(spoilt([](cloud::Allocation& row) { row.share.cpu = 0; }), 1u);
  EXPECT_EQ(spoilt([](cloud::Allocation& row) { row.gpu = "7"; }), 1u);
  const auto spoil_spec = [&](const std::function<void(api::GroupSpec&)>& edit) {
    const cloud::Group before = group(group_id);
    fleet_.groups.change(group_id, [&](cloud::Group& row) { edit(row.spec); });
    const size_t broken = broken_rules(fleet_, node(id)).size();
    fleet_.groups.change(group_id, [&](cloud::Group& row) { row = before; });
    return broken;
  };
  EXPECT_EQ(spoil_spec([](api::GroupSpec& spec) { spec.country_codes = {"us"}; }), 1u);
  EXPECT_EQ(
      spoil_spec([](api::GroupSpec& spec) { spec.container.resources.gpu_classes = {kLargeGpu}; }),
      1u);
  EXPECT_TRUE(broken_rules(fleet_, node(id)).empty());
}

TEST_F(CheckersTest, ARoomIsOneByEveryRule) {
  const std::string id = add_node("de", {kSmallGpu});
  const std::string other = add_node("us");
  fleet_.nodes.touch(other, [](cloud::Node::Live& live) { live.session = 0; });
  const std::string group_id = create(0, gpu_patch(kSmallGpu));
  EXPECT_TRUE(room(group_id, id));
  EXPECT_FALSE(room(group_id, other)) << "it is away";
  patch(group_id, R"({"country_codes": ["us"]})");
  EXPECT_FALSE(room(group_id, id));
  patch(group_id, R"({"country_codes": ["de"]})");
  patch(group_id, gpu_patch(kLargeGpu));
  EXPECT_FALSE(room(group_id, id));
  patch(group_id, gpu_patch(kSmallGpu));
  patch(group_id, R"({"container": {"resources": {"cpu": 5}}})");
  EXPECT_FALSE(room(group_id, id));
  patch(group_id, R"({"container": {"resources": {"cpu": 4}}})");
  EXPECT_TRUE(room(group_id, id));
  fleet_.exclusions.add(
      {.group_id = group_id, .node_id = id, .until = to_unix_nanos(now().wall + 1min)});
  EXPECT_FALSE(room(group_id, id));
  wait(1min);
  EXPECT_TRUE(room(group_id, id));
  ASSERT_TRUE(cloud::drain_node(fleet_, id, now()));
  EXPECT_FALSE(room(group_id, id));
}

TEST_F(CheckersTest, AnAcknowledgedCommandIsHeldAgainstTheFleet) {
  const std::string group_id = create(1);
  ledger_.begin();
  ledger_.answered({}, &fleet_);
  ledger_.check(fleet_);
  EXPECT_TRUE(violations_.all().empty());

  SeededRandom random(2);
  const cloud::Fleet empty(cloud::FleetSettings{}, random);
  ledger_.begin();
  ledger_.check(empty);
  EXPECT_TRUE(violations_.all().empty()) << "a command is on its way";
  ledger_.answered(Error::not_found("a refusal changes nothing"), &fleet_);
  ledger_.check(empty);
  ASSERT_EQ(violations_.all().size(), 1u);
  EXPECT_NE(violations_.all()[0].find("it is not there"), std::string::npos);

  ledger_.begin();
  ledger_.answered({}, &fleet_);
  patch(group_id, R"({"replicas": 3})");
  ledger_.check(fleet_);
  EXPECT_EQ(violations_.all().size(), 1u) << "once for each group";
}

TEST_F(CheckersTest, NothingIsKnownAfterAnAnswerThatDidNotCome) {
  const std::string group_id = create(1);
  ledger_.begin();
  ledger_.answered({}, &fleet_);
  ledger_.begin();
  ledger_.answered(Error::unavailable("connection reset"), &fleet_);
  patch(group_id, R"({"replicas": 3})");
  ledger_.check(fleet_);
  EXPECT_TRUE(violations_.all().empty());
}

TEST_F(CheckersTest, WhatAUserSentAwayDoesNotComeBack) {
  const std::string id = add_node();
  const std::string group_id = create(0);
  look();
  ledger_.begin();
  ledger_.reallocates(group_id, id);
  ledger_.answered({}, &fleet_);
  patch(group_id, R"({"replicas": 1})");
  look();
  EXPECT_EQ(violations_.all().size(), 1u);
}

TEST_F(CheckersTest, AServingInstanceEndsForACauseOnly) {
  const std::string id = add_node();
  const std::string group_id = create(1);
  report(id);
  look();
  const std::string allocation = only_allocation(group_id);
  const auto stop = [](cloud::Allocation& row) { row.wish.stop = true; };
  ledger_.begin();
  fleet_.allocations.change(allocation, stop);
  look();
  EXPECT_TRUE(violations_.all().empty()) << "a user may be the cause";
  ledger_.answered({}, &fleet_);
  for (const bool runs : {false, true}) {
    fleet_.allocations.change(allocation, [](cloud::Allocation& row) { row.wish.stop = false; });
    turns_.look(fleet_, {});
    fleet_.allocations.change(allocation, stop);
    runs_ = runs;
    turns_.look(fleet_, {});
    EXPECT_EQ(violations_.all().size(), runs ? 1u : 0u);
  }
}

TEST_F(CheckersTest, AGraceThatWasCutShortIsFound) {
  const std::string id = add_node();
  const std::string group_id = create(1);
  report(id);
  look();
  clock_.run_for(1h);
  turns_.cloud_started(fleet_, clock_.now());
  clock_.run_for(19s);
  fleet_.allocations.change(only_allocation(group_id),
                            [](cloud::Allocation& row) { row.lost = true; });
  turns_.look(fleet_, {});
  ASSERT_EQ(violations_.all().size(), 1u);
  EXPECT_NE(violations_.all()[0].find("after 19.000 s"), std::string::npos);
}

TEST_F(CheckersTest, TheCheaperInstanceGoesFirst) {
  for (int i = 0; i < 2; ++i) add_node();
  const std::string group_id = create(2);
  report_all();
  const auto ids = fleet_.allocations.of_group(group_id);
  fleet_.allocations.change(*ids.begin(), [](cloud::Allocation& row) {
    row.wish.deletion_cost = 10;
    ++row.wish.deletion_cost_change;
  });
  look();
  ledger_.begin();
  fleet_.groups.change(group_id, [](cloud::Group& row) { row.spec.replicas = 1; });
  fleet_.allocations.change(*ids.begin(), [](cloud::Allocation& row) { row.wish.stop = true; });
  turns_.look(fleet_, {});
  ASSERT_EQ(violations_.all().size(), 1u);
  EXPECT_NE(violations_.all()[0].find("of cost 10 ends before one of cost 0"), std::string::npos);
}

TEST_F(CheckersTest, ThePriorityOfWhoWaitsIsKept) {
  const std::string id = add_node("us", {kSmallGpu});
  const std::string low = create(0, R"({"name": "low", "container": {"priority": "low"}})");
  const std::string high = create(0, R"({"name": "high", "container": {"priority": "high"}})");
  for (const std::string& group_id : {low, high}) patch(group_id, gpu_patch(kSmallGpu));
  fleet_.nodes.touch(id, [](cloud::Node::Live& live) { live.reported = false; });
  for (const std::string& group_id : {low, high}) patch(group_id, R"({"replicas": 1})");
  turns_.look(fleet_, {});
  fleet_.nodes.touch(id, [](cloud::Node::Live& live) { live.reported = true; });
  const auto place = [&](const std::string& group_id, const std::string& on) {
    fleet_.allocations.change(only_allocation(group_id), [&](cloud::Allocation& row) {
      row.node_id = on;
      row.gpu = on.empty() ? "" : "0";
    });
    turns_.look(fleet_, {});
  };
  place(high, id);
  EXPECT_TRUE(violations_.all().empty());
  place(high, "");
  place(low, id);
  ASSERT_EQ(violations_.all().size(), 1u);
  EXPECT_NE(violations_.all()[0].find("before one of high"), std::string::npos);
}

TEST_F(CheckersTest, AJobThatSucceededIsDone) {
  const std::string id = add_node();
  const std::string group_id = create(1, R"({"restart_policy": "on_failure"})");
  report(id);
  look();
  const std::string allocation = only_allocation(group_id);
  report(id, [](link::ReplicaStatus& status) {
    status.state = link::RunState::Ended;
    status.outcome = link::RunOutcome::Succeeded;
  });
  look({allocation});
  EXPECT_TRUE(violations_.all().empty());
  fleet_.allocations.erase(allocation);
  turns_.look(fleet_, {});
  ASSERT_EQ(violations_.all().size(), 1u);
  EXPECT_NE(violations_.all()[0].find("is forgotten"), std::string::npos);
}

TEST_F(CheckersTest, EachEventIsStoredOnce) {
  const std::string group_id = create(0);
  const auto stored = [&](int64_t time) {
    return cloud::Event{.group_id = group_id,
                        .instance_id = "i",
                        .machine_id = "m",
                        .time = time,
                        .event_name = "Instance Running"};
  };
  EventAudit audit;
  for (int64_t n = 1; n <= 4; ++n) {
    const link::InstanceEvent event{.sequence = n,
                                    .group_id = group_id,
                                    .instance_id = "i",
                                    .time = n,
                                    .name = "Instance Running"};
    audit.told("m", event, n != 3);
  }
  audit.acknowledged("m", 3);
  // The node has not heard that, and tells it again when its group is there once more.
  audit.told("m", {.sequence = 3, .group_id = group_id, .instance_id = "i", .time = 3}, true);
  // Its machine lost its power, and it tells the fourth no more.
  audit.tells_again("m");
  audit.acknowledged("m", 9);
  audit.check({stored(1), stored(2)}, fleet_, violations_);
  EXPECT_TRUE(violations_.all().empty()) << "3 was refused, 4 was lost before it was acknowledged";
  audit.check({stored(1), stored(1)}, fleet_, violations_);
  ASSERT_EQ(violations_.all().size(), 2u);
  EXPECT_NE(violations_.all()[0].find("twice"), std::string::npos);
  EXPECT_NE(violations_.all()[1].find("is not stored"), std::string::npos);
}

}  // namespace
}  // namespace mesclun::sim
