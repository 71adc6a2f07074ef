// Machines that the operator empties: what serves there is followed before it ends.
#include "cloud/fleet_drain.h"

#include "api/event_names.h"
#include "cloud/fleet_test_kit.h"

namespace mesclun::cloud {
namespace {

class FleetDrain : public FleetTest {
 protected:
  void drain(const std::string& node) {
    ASSERT_TRUE(drain_node(fleet_, node, now()));
    turn();
  }
  // Of one that starts and is not ready yet.
  static void not_ready(link::ReplicaStatus& status) { status.ready = status.started = false; }
  size_t on(const std::string& node) const { return fleet_.allocations.on_node(node).size(); }
  std::set<std::string> routed(const std::string& group) const {
    std::set<std::string> out;
    for (const auto& instance : route_of(fleet_, fleet_.groups.at(group)).instances) {
      if (instance.ready) out.insert(instance.machine_id);
    }
    return out;
  }
  static constexpr std::string_view kServed =
      R"({"networking": {"auth": false, "port": 80, "protocol": "http"}})";
};

TEST_F(FleetDrain, WhatServesGoesOnUntilItsSuccessorServes) {
  const std::string first = add_node();
  const std::string group = create(1, kServed);
  report_all();
  const std::string other = add_node();
  drain(first);
  EXPECT_EQ(on(first), 1u);
  EXPECT_EQ(on(other), 1u);
  EXPECT_EQ(count_events(api::event::kReallocatedByPlatform), 1u);
  report(other, not_ready);
  report(first);
  EXPECT_EQ(routed(group), std::set{first}) << "the new one is not ready yet";
  for (const link::Assignment& told : desired_of(fleet_, first, 1).assignments) {
    EXPECT_FALSE(told.wish.stop);
  }
  report(other);
  EXPECT_EQ(routed(group), std::set{other});
  EXPECT_TRUE(desired_of(fleet_, first, 1).assignments.at(0).wish.stop);
  report(first);
  EXPECT_EQ(on(first), 0u);
  EXPECT_EQ(fleet_.exclusions.size(), 0u);
  EXPECT_EQ(serving(group).size(), 1u);
}

TEST_F(FleetDrain, WhereNoPlaceIsItEndsAndWaits) {
  const std::string node = add_node();
  const std::string group = create(1);
  report_all();
  drain(node);
  report(node);
  EXPECT_EQ(on(node), 0u);
  EXPECT_FALSE(waiting_reason(fleet_, fleet_.groups.at(group)).empty());
  ASSERT_TRUE(undrain_node(fleet_, node, now()));
  turn();
  report(node);
  EXPECT_EQ(serving(group).size(), 1u) << "nobody is excluded";
}

TEST_F(FleetDrain, TheNodeGetsNothingNewAlsoAfterARestart) {
  const std::string node = add_node();
  drain(node);
  const std::string group = create(1);
  settle_down();
  EXPECT_EQ(on(node), 0u);
  FleetSnapshot stored{.groups = {fleet_.groups.at(group)}, .nodes = {fleet_.nodes.at(node)}};
  stored.nodes[0] = from_json_text<Node>(to_json_text(stored.nodes[0])).value();
  for (const auto& [id, row] : fleet_.allocations.all()) stored.allocations.push_back(row);
  fleet_.restore(std::move(stored), now());
  join(node);
  report(node);
  settle_down();
  EXPECT_EQ(on(node), 0u);
}

TEST_F(FleetDrain, ASuccessorThatNeverServesIsWaitedForOnlySoLong) {
  const std::string first = add_node();
  const std::string group = create(1);
  report_all();
  const std::string other = add_node();
  drain(first);
  report(other, not_ready);
  EXPECT_EQ(idle_time(fleet_, now()), fleet_.settings.drain_limit);
  for (Duration waited = 10s; waited < fleet_.settings.drain_limit; waited += 10s) {
    wait(10s);
    report(first);
    report(other, not_ready);
    ASSERT_FALSE(desired_of(fleet_, first, 1).assignments.at(0).wish.stop) << to_seconds(waited);
  }
  wait(10s);
  report(other, not_ready);
  EXPECT_TRUE(desired_of(fleet_, first, 1).assignments.at(0).wish.stop);
}

TEST_F(FleetDrain, ASuccessorThatFailsIsFollowedByAnother) {
  const std::string first = add_node();
  const std::string group = create(1);
  report_all();
  const std::string second = add_node();
  drain(first);
  const std::string third = add_node();
  report(second, [](link::ReplicaStatus& status) {
    status.state = link::RunState::Ended;
    status.outcome = link::RunOutcome::Replace;
    status.exclude_node = status.failed = true;
  });
  report(first);
  EXPECT_EQ(on(third), 1u);
  EXPECT_EQ(routed(group).size(), 0u);  // no networking: nobody is told of it
  EXPECT_FALSE(desired_of(fleet_, first, 1).assignments.at(0).wish.stop);
  report(third);
  report(first);
  EXPECT_EQ(on(first), 0u);
  EXPECT_EQ(serving(group).size(), 1u);
}

TEST_F(FleetDrain, WhatMayBeDoneNeverRunsTwice) {
  const std::string first = add_node();
  create(1, R"({"restart_policy": "on_failure"})");
  report_all();
  add_node();
  drain(first);
  EXPECT_TRUE(desired_of(fleet_, first, 1).assignments.at(0).wish.stop);
}

TEST_F(FleetDrain, UndoneInTimeNothingMoves) {
  const std::string first = add_node();
  const std::string group = create(1);
  report_all();
  const std::string before = serving(group)[0]->status.instance_id;
  const std::string other = add_node();
  drain(first);
  report(other, not_ready);
  ASSERT_TRUE(undrain_node(fleet_, first, now()));
  turn();
  report_all();
  ASSERT_EQ(serving(group).size(), 1u);
  EXPECT_EQ(serving(group)[0]->status.instance_id, before);
  EXPECT_EQ(on(other), 0u);
}

TEST_F(FleetDrain, ALostReplicaThatComesBackToADrainedNodeServesUntilItsSuccessorDoes) {
  const std::string first = add_node();
  const std::string group = create(1);
  report_all();
  const Allocation lost = *serving(group)[0];
  const std::string other = add_node();
  node_left(fleet_, first, sessions_[first], now());
  wait(21s);
  report(other, not_ready);
  report(other, not_ready);
  ASSERT_EQ(on(other), 1u);
  drain(first);
  join(first);
  report(first, [&](link::ReplicaStatus& status) { status = lost.status; });
  ASSERT_EQ(serving(group).size(), 1u);
  EXPECT_EQ(serving(group)[0]->node_id, first);
  report(other);
  report(first);
  EXPECT_EQ(on(first), 0u);
}

TEST_F(FleetDrain, AScaledDownOrStoppedGroupLeavesNothingBehind) {
  const std::string first = add_node();
  const std::string group = create(1);
  report_all();
  const std::string other = add_node();
  drain(first);
  report(other, not_ready);
  patch(group, R"({"replicas": 0})");
  report_all();
  EXPECT_EQ(on(first) + on(other), 0u);
}

TEST_F(FleetDrain, AnUnknownNodeIsNotFound) {
  EXPECT_EQ(drain_node(fleet_, "nobody", now()).code(), ErrorCode::NotFound);
  EXPECT_EQ(undrain_node(fleet_, "nobody", now()).code(), ErrorCode::NotFound);
}

}  // namespace
}  // namespace mesclun::cloud
