#include "cloud/fleet_test_kit.h"

namespace mesclun::cloud {
namespace {

TEST_F(FleetTest, AGroupIsPlacedRunsAndIsStopped) {
  for (int i = 0; i < 4; ++i) add_node();
  const std::string group = create(3);
  EXPECT_EQ(fleet_.groups.at(group).status, api::GroupStatus::Deploying);
  report_all();
  EXPECT_EQ(serving(group).size(), 3u);
  EXPECT_EQ(fleet_.groups.at(group).status, api::GroupStatus::Running);
  EXPECT_EQ(count_events("Container Group Started"), 1u);
  EXPECT_EQ(count_events("Instance Allocated"), 3u);
  ASSERT_TRUE(stop_group(fleet_, group, now()));
  turn();
  EXPECT_EQ(facts_of(fleet_, fleet_.groups.at(group)).counts.stopping_count, 3);
  report_all();
  EXPECT_TRUE(instances_of(fleet_, group).empty());
  EXPECT_EQ(fleet_.groups.at(group).status, api::GroupStatus::Stopped);
}

TEST_F(FleetTest, ANameIsNeverFreeAgain) {
  const std::string group = create(0);
  ASSERT_TRUE(delete_group(fleet_, group, now()));
  turn();
  EXPECT_EQ(fleet_.groups.find_named("project", "ocr"), nullptr);
  api::GroupSpec same = fleet_.groups.at(group).spec;
  const auto again = create_group(fleet_, {"org", "acme", "project", "web"}, same, 500, now());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().problem_type(), "name_conflict");
}

TEST_F(FleetTest, QuotaCountsStoppedGroupsToo) {
  const std::string group = create(400);
  ASSERT_TRUE(stop_group(fleet_, group, now()));
  api::GroupSpec other = fleet_.groups.at(group).spec;
  other.name = "other";
  const auto refused = create_group(fleet_, {"org", "acme", "project", "web"}, other, 500, now());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().problem_type(), "quota_exceeded");
}

TEST_F(FleetTest, ANodeThatBlinksWithinTheGraceChangesNothing) {
  for (int i = 0; i < 3; ++i) add_node();
  const std::string group = create(1);
  report_all();
  const std::string node = serving(group)[0]->node_id;
  const std::string instance = serving(group)[0]->status.instance_id;
  node_left(fleet_, node, sessions_[node], now());
  turn();
  wait(19s);
  turn();
  join(node);
  report(node);
  report_all();
  ASSERT_EQ(instances_of(fleet_, group).size(), 1u);
  EXPECT_EQ(serving(group)[0]->status.instance_id, instance);
  EXPECT_EQ(count_events("Instance Interrupted (Node Offline)"), 0u);
}

// A node whose agent only connects, again and again, does not serve.
TEST_F(FleetTest, WhoOnlySaysHelloIsSilent) {
  for (int i = 0; i < 2; ++i) add_node();
  const std::string group = create(1);
  report_all();
  const Allocation first = *serving(group)[0];
  for (int i = 0; i < 3; ++i) {
    wait(9s);
    join(first.node_id);
    node_heard(fleet_, first.node_id, sessions_[first.node_id], now());
    for (const auto& [id, node] : fleet_.nodes.all()) {
      if (id != first.node_id) report(id);
    }
  }
  turn();
  for (const auto& [id, node] : fleet_.nodes.all()) {
    if (id != first.node_id) report(id);
  }
  ASSERT_EQ(serving(group).size(), 1u);
  EXPECT_NE(serving(group)[0]->node_id, first.node_id);
  EXPECT_EQ(count_events("Instance Interrupted (Node Offline)"), 1u);
  EXPECT_NE(fleet_.nodes.at(first.node_id).live.session, 0) << "its report would still be taken";
  report(first.node_id);
  EXPECT_TRUE(fleet_.nodes.at(first.node_id).online());
}

TEST_F(FleetTest, WhatANodeSaysOfOthersIsNotTaken) {
  for (int i = 0; i < 2; ++i) add_node();
  const std::string group = create(1);
  report_all();
  const Allocation victim = *serving(group)[0];
  std::string liar;
  for (const auto& [id, node] : fleet_.nodes.all()) {
    if (id != victim.node_id) liar = id;
  }
  link::Report report{.revision = fleet_.nodes.at(liar).live.revision};
  report.events.push_back({.sequence = 1, .group_id = group, .name = "Instance Ready"});
  report.events.push_back({.sequence = 2, .group_id = "no such group", .name = "Instance Ready"});
  link::ReplicaStatus ended = victim.status;
  ended.state = link::RunState::Ended;
  ended.outcome = link::RunOutcome::Failed;
  report.instances.push_back({victim.id, ended});
  report.instances.push_back({"no such allocation", ended});
  node_reported(fleet_, liar, sessions_[liar], report, now());
  turn();
  EXPECT_EQ(count_events("Instance Ready"), 0u);
  EXPECT_EQ(serving(group).size(), 1u);
  const Node& node = fleet_.nodes.at(liar);
  EXPECT_EQ(node.acknowledged, 2) << "or it would say them for ever";
  EXPECT_EQ(node.live.refused, 3u) << "two events, one state";
  join(liar);
  EXPECT_EQ(fleet_.nodes.at(liar).live.refused, 0u) << "counted for each session";
}

class LateReturn : public FleetTest {
 protected:
  // One replica whose node went silent; a replacement is placed.
  void SetUp() override {
    for (int i = 0; i < 3; ++i) add_node();
    group_ = create(1);
    report_all();
    first_ = *serving(group_)[0];
    node_left(fleet_, first_.node_id, sessions_[first_.node_id], now());
    turn();
    wait(21s);
    for (const auto& [id, node] : fleet_.nodes.all()) {
      if (id != first_.node_id) node_heard(fleet_, id, sessions_[id], now());
    }
    turn();
    ASSERT_EQ(instances_of(fleet_, group_).size(), 1u) << "the lost one is not shown";
    second_ = *instances_of(fleet_, group_)[0];
    ASSERT_NE(second_.node_id, first_.node_id);
    EXPECT_EQ(count_events("Instance Interrupted (Node Offline)"), 1u);
  }
  std::string group_;
  Allocation first_;
  Allocation second_;
};

TEST_F(LateReturn, BeforeTheReplacementServesTheReturnedOneStays) {
  join(first_.node_id);
  report(first_.node_id);
  ASSERT_EQ(serving(group_).size(), 1u);
  EXPECT_EQ(serving(group_)[0]->id, first_.id);
  EXPECT_TRUE(fleet_.allocations.at(second_.id).wish.stop);
  report_all();
  EXPECT_EQ(fleet_.allocations.all().size(), 1u) << "the other is gone";
}

TEST_F(LateReturn, AfterTheReplacementServesTheReturnedOneIsStopped) {
  report(second_.node_id);
  EXPECT_EQ(fleet_.allocations.find(first_.id), nullptr) << "forgotten once its slot is served";
  join(first_.node_id);
  link::Report late;
  late.instances.push_back({.allocation_id = first_.id, .status = first_.status});
  node_reported(fleet_, first_.node_id, sessions_[first_.node_id], late, now());
  EXPECT_TRUE(desired_of(fleet_, first_.node_id, 1).assignments.empty()) << "so the node stops it";
  turn();
  ASSERT_EQ(serving(group_).size(), 1u);
  EXPECT_EQ(serving(group_)[0]->id, second_.id);
}

TEST_F(LateReturn, ACommitThatFailsMeanwhileDoesNotEndTheReturnedOne) {
  FleetSnapshot stored;
  for (const auto& [id, row] : fleet_.groups.all()) stored.groups.push_back(row);
  for (const auto& [id, row] : fleet_.allocations.all()) stored.allocations.push_back(row);
  for (const auto& [id, row] : fleet_.nodes.all()) stored.nodes.push_back(row);
  join(first_.node_id);
  report(first_.node_id);
  ASSERT_EQ(serving(group_).size(), 1u);
  fleet_.restore(std::move(stored), now());
  turn();
  const auto told = desired_of(fleet_, first_.node_id, 1).assignments;
  ASSERT_EQ(told.size(), 1u);
  EXPECT_FALSE(told[0].wish.stop) << "it serves, and its replacement does not";
  report(first_.node_id);
  ASSERT_EQ(serving(group_).size(), 1u);
  EXPECT_EQ(serving(group_)[0]->id, first_.id);
}

TEST_F(FleetTest, AReallocatedInstanceLeavesItsNodeFor48Hours) {
  for (int i = 0; i < 2; ++i) add_node();
  const std::string group = create(1);
  report_all();
  const Allocation first = *serving(group)[0];
  ASSERT_TRUE(reallocate(fleet_, group, first.status.instance_id, now()));
  turn();
  report_all();
  report_all();
  ASSERT_EQ(serving(group).size(), 1u);
  const Allocation second = *serving(group)[0];
  EXPECT_NE(second.node_id, first.node_id);
  // The other node is now excluded as well: nothing is left until the first one's time is over.
  ASSERT_TRUE(reallocate(fleet_, group, second.status.instance_id, now()));
  turn();
  report_all();
  EXPECT_EQ(facts_of(fleet_, fleet_.groups.at(group)).counts.allocating_count, 1);
  EXPECT_NE(waiting_reason(fleet_, fleet_.groups.at(group)).find("excluded"), std::string::npos);
  wait(std::chrono::hours(48));
  EXPECT_EQ(idle_time(fleet_, now()), Duration::zero());
  for (const auto& [id, node] : fleet_.nodes.all()) node_heard(fleet_, id, sessions_[id], now());
  turn();
  report_all();
  EXPECT_EQ(serving(group).size(), 1u);
}

TEST_F(FleetTest, ABadExitBlocksTheNodeAndIsReplaced) {
  for (int i = 0; i < 2; ++i) add_node();
  const std::string group = create(1);
  report_all();
  const Allocation first = *serving(group)[0];
  report(first.node_id, [](link::ReplicaStatus& report) {
    report.state = link::RunState::Ended;
    report.outcome = link::RunOutcome::Replace;
    report.exclude_node = true;
  });
  EXPECT_TRUE(fleet_.exclusions.holds(group, first.node_id, to_unix_nanos(now().wall)));
  report_all();
  ASSERT_EQ(serving(group).size(), 1u);
  EXPECT_NE(serving(group)[0]->node_id, first.node_id);
}

TEST_F(FleetTest, ScaleInTakesTheNotRunningThenTheCheapest) {
  for (int i = 0; i < 4; ++i) add_node();
  const std::string group = create(5);
  report_all();
  std::vector<std::string> running;
  for (const Allocation* a : serving(group)) running.push_back(a->status.instance_id);
  ASSERT_EQ(running.size(), 4u) << "the fifth finds no node";
  for (size_t i = 0; i < running.size(); ++i) {
    ASSERT_TRUE(set_deletion_cost(fleet_, group, running[i], i == 2 ? 1 : 10));
  }
  const auto patch = [&](int32_t replicas) {
    const auto change =
        api::patch_group_spec(fleet_.groups.at(group).spec, json::object{{"replicas", replicas}},
                              api::known_gpu_classes());
    ASSERT_TRUE(change);
    ASSERT_TRUE(patch_group(fleet_, group, *change, 500, now()));
    turn();
  };
  EXPECT_FALSE(waiting_reason(fleet_, fleet_.groups.at(group)).empty()) << "says why";
  patch(4);
  EXPECT_EQ(serving(group).size(), 4u) << "the waiting one went";
  EXPECT_TRUE(waiting_reason(fleet_, fleet_.groups.at(group)).empty());
  patch(3);
  EXPECT_EQ(serving(group).size(), 3u);
  for (const Allocation* a : serving(group)) EXPECT_NE(a->status.instance_id, running[2]);
  EXPECT_EQ(count_events("Container Group Desired Replica Count Updated from 5 to 4"), 1u);
}

TEST_F(FleetTest, AllAtOnceOldAndNewNeverServeSideBySide) {
  for (int i = 0; i < 2; ++i) add_node();
  const std::string group = create(2);
  report_all();
  const auto change = api::patch_group_spec(
      fleet_.groups.at(group).spec,
      parse_json(R"({"container": {"environment_variables": {"A": "1"}}})").value(),
      api::known_gpu_classes());
  ASSERT_TRUE(change);
  fleet_.groups.change(group, [](Group& changed) {
    changed.update_at_once = UpdateLimit{.amount = 100, .percent = true};
  });
  ASSERT_TRUE(patch_group(fleet_, group, *change, 500, now()));
  turn();
  EXPECT_TRUE(serving(group).empty());
  EXPECT_TRUE(facts_of(fleet_, fleet_.groups.at(group)).pending_change);
  report_all();
  EXPECT_TRUE(facts_of(fleet_, fleet_.groups.at(group)).pending_change) << "not settled yet";
  wait(fleet_.settings.update_settle);
  turn();
  EXPECT_EQ(serving(group).size(), 2u);
  EXPECT_FALSE(facts_of(fleet_, fleet_.groups.at(group)).pending_change);
  EXPECT_EQ(facts_of(fleet_, fleet_.groups.at(group)).version, 2);
}

TEST_F(FleetTest, AnotherCountryMovesOnlyThoseOutside) {
  for (const char* country : {"us", "de", "de"}) add_node(country);
  const std::string group = create(2);
  report_all();
  const auto change = api::patch_group_spec(fleet_.groups.at(group).spec,
                                            parse_json(R"({"country_codes": ["de"]})").value(),
                                            api::known_gpu_classes());
  std::set<std::string> in_germany;
  for (const Allocation* a : serving(group)) {
    if (fleet_.nodes.at(a->node_id).facts.country == "de") in_germany.insert(a->status.instance_id);
  }
  wait(fleet_.settings.update_settle);
  ASSERT_TRUE(patch_group(fleet_, group, *change, 500, now()));
  turn();
  report_all();
  report_all();
  ASSERT_EQ(serving(group).size(), 2u);
  for (const Allocation* a : serving(group)) {
    EXPECT_EQ(fleet_.nodes.at(a->node_id).facts.country, "de");
    in_germany.erase(a->status.instance_id);
  }
  EXPECT_TRUE(in_germany.empty()) << "those that fitted were not restarted";
}

TEST_F(FleetTest, ReplicasThatAreDoneAreNotReplacedAndTheGroupSucceeds) {
  for (int i = 0; i < 2; ++i) add_node();
  const std::string group = create(2, R"({"restart_policy": "never"})");
  report_all();
  const auto finish = [](link::ReplicaStatus& report) {
    report.state = link::RunState::Ended;
    report.outcome = link::RunOutcome::Succeeded;
  };
  std::vector<std::string> ids;
  for (const auto& [id, node] : fleet_.nodes.all()) ids.push_back(id);
  report(ids[0], finish);
  EXPECT_EQ(fleet_.groups.at(group).status, api::GroupStatus::Running);
  report(ids[1], finish);
  EXPECT_EQ(fleet_.groups.at(group).status, api::GroupStatus::Succeeded);
  EXPECT_TRUE(instances_of(fleet_, group).empty());
  ASSERT_TRUE(start_group(fleet_, group, now()));
  turn();
  report_all();
  EXPECT_EQ(serving(group).size(), 2u) << "started once more";
}

TEST_F(FleetTest, ADrainedNodeGivesItsInstancesAway) {
  for (int i = 0; i < 2; ++i) add_node();
  const std::string group = create(1);
  report_all();
  const std::string node = serving(group)[0]->node_id;
  link::Report report{.revision = fleet_.nodes.at(node).live.revision,
                      .mode = link::NodeMode::Draining};
  report.instances.push_back({serving(group)[0]->id, serving(group)[0]->status});
  node_reported(fleet_, node, sessions_[node], report, now());
  turn();
  for (const auto& [id, other] : fleet_.nodes.all()) {
    if (id != node) this->report(id);
  }
  ASSERT_EQ(serving(group).size(), 1u);
  EXPECT_NE(serving(group)[0]->node_id, node);
}

TEST_F(FleetTest, AReplicaThatIsDoneMakesRoomForOneThatWaits) {
  add_node();
  const std::string job = create(1, R"({"restart_policy": "never",
      "container": {"resources": {"cpu": 4}}})");
  report_all();
  const std::string next = create(1, R"({"name": "next", "container": {"resources": {"cpu": 4}}})");
  EXPECT_EQ(facts_of(fleet_, fleet_.groups.at(next)).counts.allocating_count, 1);
  report(serving(job)[0]->node_id, [](link::ReplicaStatus& status) {
    status.state = link::RunState::Ended;
    status.outcome = link::RunOutcome::Succeeded;
  });
  EXPECT_EQ(facts_of(fleet_, fleet_.groups.at(next)).counts.allocating_count, 0);
}

TEST_F(FleetTest, AReplicaThatWaitsIsPlacedWhenItsGroupAsksForLess) {
  add_node("us");
  const std::string group = create(1, R"({"country_codes": ["de"]})");
  EXPECT_EQ(facts_of(fleet_, fleet_.groups.at(group)).counts.allocating_count, 1);
  const auto change = api::patch_group_spec(fleet_.groups.at(group).spec,
                                            parse_json(R"({"country_codes": []})").value(),
                                            api::known_gpu_classes());
  ASSERT_TRUE(change);
  ASSERT_TRUE(patch_group(fleet_, group, *change, 500, now()));
  turn();
  EXPECT_EQ(facts_of(fleet_, fleet_.groups.at(group)).counts.allocating_count, 0);
}

TEST_F(FleetTest, AnotherMachineCannotTakeAnId) {
  const std::string id = add_node();
  link::Hello hello{.machine_id = id, .node_secret = "another secret, long enough"};
  hello.facts.cpu = 1;
  EXPECT_EQ(node_joined(fleet_, hello, 99, now()).code(), ErrorCode::PermissionDenied);
}

}  // namespace
}  // namespace mesclun::cloud
