#include <fmt/format.h>

#include <algorithm>

#include "cloud/fleet_test_kit.h"

namespace mesclun::cloud {
namespace {

class FleetFailures : public FleetTest {};

TEST_F(FleetFailures, WhereNoOtherNodeIsAFailureIsTriedAgainEverMoreSlowly) {
  add_node();
  const std::string group = create(1);
  report_all();
  const auto fail = [this, &group] {
    const Allocation& running = *serving(group).at(0);
    report(running.node_id, [](link::ReplicaStatus& report) {
      report.state = link::RunState::Ended;
      report.outcome = link::RunOutcome::Replace;
      report.exclude_node = report.failed = true;
      report.reason = "the program exited with 1";
    });
    report_all();
  };
  for (const Duration pause : {10s, 20s, 40s}) {
    fail();
    EXPECT_TRUE(serving(group).empty());
    EXPECT_NE(waiting_reason(fleet_, fleet_.groups.at(group)).find("excluded"), std::string::npos);
    wait(pause - 1s);
    report_all();
    EXPECT_TRUE(serving(group).empty()) << to_seconds(pause);
    wait(1s);
    report_all();
    report_all();
    ASSERT_EQ(serving(group).size(), 1u) << to_seconds(pause);
  }
  // After a long run the row begins anew.
  wait(10min);
  report(serving(group)[0]->node_id, [](link::ReplicaStatus& report) {
    report.update_time += int64_t{10} * 60 * 1'000'000'000;
    report.state = link::RunState::Ended;
    report.outcome = link::RunOutcome::Replace;
    report.exclude_node = report.failed = true;
  });
  EXPECT_EQ(fleet_.groups.at(group).failures, 1);
}

TEST_F(FleetFailures, ANewVersionLiftsWhatFailuresExcludedAndNothingElse) {
  for (int i = 0; i < 3; ++i) add_node();
  const std::string group = create(1);
  report_all();
  const std::string failed = serving(group)[0]->node_id;
  report(failed, [](link::ReplicaStatus& report) {
    report.state = link::RunState::Ended;
    report.outcome = link::RunOutcome::Replace;
    report.exclude_node = report.failed = true;
  });
  report_all();
  const Allocation second = *serving(group).at(0);
  ASSERT_TRUE(reallocate(fleet_, group, second.status.instance_id, now()));
  turn();
  const int64_t wall = to_unix_nanos(now().wall);
  EXPECT_TRUE(fleet_.exclusions.holds(group, failed, wall));
  patch(group, R"({"container": {"command": ["other"]}})");
  EXPECT_FALSE(fleet_.exclusions.holds(group, failed, wall));
  EXPECT_TRUE(fleet_.exclusions.holds(group, second.node_id, wall)) << "a user wanted it";
}

TEST_F(FleetFailures, ANodeThatSaysGoodbyeExcludesNobody) {
  const std::string node = add_node();
  const std::string group = create(1);
  report_all();
  ASSERT_EQ(serving(group).size(), 1u);
  link::Report goodbye{.mode = link::NodeMode::Draining};
  link::ReplicaStatus ended = serving(group)[0]->status;
  ended.state = link::RunState::Ended;
  ended.outcome = link::RunOutcome::Replace;
  goodbye.instances.push_back({.allocation_id = serving(group)[0]->id, .status = ended});
  node_reported(fleet_, node, sessions_[node], goodbye, now());
  turn();
  EXPECT_EQ(fleet_.exclusions.size(), 0u);
  EXPECT_TRUE(serving(group).empty());
  report_all();  // it is back, and active
  report_all();
  EXPECT_EQ(serving(group).size(), 1u);
}

TEST_F(FleetFailures, AGroupWithoutACommandWaitsAndBlamesNoNode) {
  const std::string node = add_node();
  fleet_.nodes.change(node, [](Node& changed) { changed.facts.runtime = "process"; });
  const std::string group = create(1);
  settle_down();
  EXPECT_NE(waiting_reason(fleet_, fleet_.groups.at(group)).find("set container.command"),
            std::string::npos);
  EXPECT_EQ(fleet_.exclusions.size(), 0u);
}

TEST_F(FleetFailures, WhatIsDeletedKeepsItsNameForAWhileAndNoSecrets) {
  const std::string group =
      create(0, R"({"container": {"environment_variables": {"TOKEN": "secret"}},
                    "networking": {"protocol": "http", "port": 8080, "auth": false}})");
  ASSERT_TRUE(delete_group(fleet_, group, now()));
  turn();
  const Group& gone = fleet_.groups.at(group);
  ASSERT_TRUE(gone.gone);
  EXPECT_EQ(to_json_text(gone).find("secret"), std::string::npos);
  const std::string host = gone.dns;
  EXPECT_EQ(fleet_.groups.holder_of("project", "ocr"), &gone);

  wait(fleet_.settings.deleted_retention - 1s);
  EXPECT_EQ(idle_time(fleet_, now()), 1s);
  turn();
  EXPECT_NE(fleet_.groups.find_host(host), nullptr);
  wait(1s);
  reconcile(fleet_, now());
  const FleetChanges changes = fleet_.take_changes();
  EXPECT_EQ(changes.forgotten_groups, std::set{group});
  EXPECT_EQ(changes.free_hosts, std::set{host});
  EXPECT_EQ(fleet_.groups.find(group), nullptr);
  EXPECT_EQ(fleet_.groups.find_host(host), nullptr);
  EXPECT_EQ(idle_time(fleet_, now()), std::nullopt);
  EXPECT_NE(create(0), group);
}

TEST_F(FleetFailures, ATombstoneIsNoLongerExcludedAnywhere) {
  const std::string node = add_node();
  const std::string group = create(0);
  fleet_.exclusions.add({.group_id = group, .node_id = node, .until = INT64_MAX});
  ASSERT_TRUE(delete_group(fleet_, group, now()));
  turn();
  EXPECT_EQ(fleet_.exclusions.size(), 0u);
}

TEST_F(FleetFailures, RetentionsThatEndAtOnceAreSpreadOverTurns) {
  for (int i = 0; i < 250; ++i) {
    const std::string group = create(0, fmt::format(R"({{"name": "group-{}"}})", i));
    ASSERT_TRUE(delete_group(fleet_, group, now()));
    turn();
  }
  wait(fleet_.settings.deleted_retention);
  for (const size_t left : {150, 50, 0}) {
    EXPECT_EQ(idle_time(fleet_, now()), Duration::zero());
    turn();
    EXPECT_EQ(fleet_.groups.all().size(), left);
  }
}

TEST_F(FleetFailures, NodesThatAreLostAtOnceAreSpreadOverTurns) {
  for (int i = 0; i < 250; ++i) join(fmt::format("node-{:03}", i));
  turn();
  wait(fleet_.settings.node_grace);
  const auto lost = [this] {
    return std::ranges::count_if(fleet_.nodes.all(), [](const auto& entry) {
      return entry.second.live.silent_beyond_grace;
    });
  };
  for (const int so_far : {100, 200, 250}) {
    EXPECT_EQ(idle_time(fleet_, now()), Duration::zero());
    turn();
    EXPECT_EQ(lost(), so_far);
  }
  EXPECT_EQ(idle_time(fleet_, now()), std::nullopt);
}

TEST_F(FleetFailures, WhatANodeSaysLateOfAForgottenReplicaIsKept) {
  for (int i = 0; i < 2; ++i) add_node();
  const std::string group = create(1);
  report_all();
  const Allocation first = *serving(group).at(0);
  node_left(fleet_, first.node_id, sessions_[first.node_id], now());
  wait(21s);
  report_all();  // the other node is heard
  report_all();
  ASSERT_EQ(serving(group).size(), 1u);
  ASSERT_EQ(fleet_.allocations.find(first.id), nullptr) << "its replacement serves";
  join(first.node_id);
  link::Report late;
  late.events.push_back({.sequence = 1, .group_id = group, .name = "Instance Exited:1 (Error)"});
  late.events.push_back({.sequence = 2, .group_id = "of a stranger", .name = "Instance Running"});
  node_reported(fleet_, first.node_id, sessions_[first.node_id], late, now());
  turn();
  EXPECT_EQ(count_events("Instance Exited:1 (Error)"), 1u);
  EXPECT_EQ(count_events("Instance Running"), 0u);
}

TEST_F(FleetFailures, CountriesNeedNoOrder) {
  add_node();
  const std::string group = create(1, R"({"country_codes": ["us", "de"]})");
  report_all();
  EXPECT_EQ(serving(group).size(), 1u);
}

}  // namespace
}  // namespace mesclun::cloud
