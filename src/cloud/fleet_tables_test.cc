// Goal: the tables' indexes and marks are right whatever happens. Method: random calls of the
// fleet's rules by a seed, and after every turn a comparison with full scans.
#include "cloud/fleet_tumult.h"

#include <gmock/gmock.h>

namespace mesclun::cloud {
namespace {

using Ids = AllocationTable::Ids;

void check_allocations(const Fleet& fleet) {
  const AllocationTable& table = fleet.allocations;
  std::map<std::string, Ids> by_group;
  std::map<std::string, Ids> by_node;
  std::map<std::string, Ids> by_slot;
  std::map<std::string, std::vector<const Allocation*>> by_instance;
  std::map<std::string, GroupTally> tallies;
  std::map<std::string, AllocationTable::Line> waiting;
  AllocationTable::Line leaving;
  for (const auto& [id, row] : table.all()) {
    by_group[row.group_id].insert(id);
    by_slot[row.slot].insert(id);
    if (row.placed()) by_node[row.node_id].insert(id);
    if (row.placed() && fleet.nodes.at(row.node_id).drained)
      EXPECT_FALSE(row.counts() && !row.done());
    if (!row.placed()) waiting[row.group_id].emplace(row.create_time, id);
    if (row.leaving()) leaving.emplace(row.leave_by, id);
    tallies[row.group_id] += tally_of(row);
    by_instance[row.status.instance_id].push_back(&row);
  }
  EXPECT_EQ(table.waiting(), waiting);
  EXPECT_EQ(table.leaving(), leaving);
  for (const auto& [id, rows] : by_instance) EXPECT_EQ(table.of_instance(id), rows);
  for (const auto& [slot, ids] : by_slot) EXPECT_EQ(table.of_slot(slot), ids);
  for (const auto& [id, node] : fleet.nodes.all()) EXPECT_EQ(table.on_node(id), by_node[id]);
  for (const auto& [id, group] : fleet.groups.all()) {
    EXPECT_EQ(table.of_group(id), by_group[id]);
    EXPECT_EQ(table.tally(id), tallies[id]);
  }
}

void check_groups(const Fleet& fleet) {
  std::map<std::string, const Group*> live;
  std::vector<std::string> tombstones;
  int32_t replicas = 0;
  for (const auto& [id, group] : fleet.groups.all()) {
    EXPECT_EQ(fleet.groups.holder_of(group.project_id, group.spec.name), &group);
    EXPECT_TRUE(fleet.groups.is_dns_taken(group.dns));
    EXPECT_EQ(fleet.groups.find_named(group.project_id, group.spec.name),
              group.gone ? nullptr : &group);
    if (group.gone) tombstones.push_back(id);
    if (group.delete_time != 0) continue;
    live[group.spec.name] = &group;
    replicas += group.spec.replicas;
  }
  std::vector<const Group*> by_name;
  for (const auto& [name, group] : live) by_name.push_back(group);
  EXPECT_EQ(fleet.groups.of_project("project"), by_name);
  EXPECT_THAT(fleet.groups.tombstones_until(INT64_MAX, 1000),
              testing::UnorderedElementsAreArray(tombstones));
  EXPECT_EQ(fleet.groups.replicas_of("org"), replicas);
}

void check_nodes(const Fleet& fleet, Moment now) {
  TimePoint first = TimePoint::max();
  std::vector<std::string> silent;
  std::set<std::string> offered;
  for (const auto& [id, node] : fleet.nodes.all()) {
    if (node.online() && node.mode == link::NodeMode::Active && !node.drained) offered.insert(id);
    if (node.live.silent_beyond_grace) continue;
    const TimePoint over = node.live.last_heard + fleet.settings.node_grace;
    first = std::min(first, over);
    if (over <= now.steady + 10s) silent.push_back(id);
  }
  EXPECT_EQ(fleet.nodes.offered(), offered);
  EXPECT_EQ(fleet.nodes.first_silence(), first);
  EXPECT_EQ(fleet.nodes.silent_at(now.steady + 10s, 1000), silent);
  EXPECT_LE(fleet.nodes.silent_at(now.steady + 10s, 3).size(), 3u);
}

// What the store, the nodes and the gateways would have, if they heard of nothing but changes.
struct Outside {
  FleetSnapshot stored() const {
    FleetSnapshot out{.event_sequence = event_sequence};
    for (const auto& [id, row] : groups) out.groups.push_back(row);
    for (const auto& [id, row] : allocations) out.allocations.push_back(row);
    for (const auto& [id, row] : nodes) out.nodes.push_back(row);
    for (const auto& [key, row] : exclusions) out.exclusions.push_back(row);
    return out;
  }
  void hear(const FleetChanges& changes, const Fleet& fleet) {
    for (const auto& [id, row] : changes.groups) groups[id] = row;
    for (const std::string& id : changes.forgotten_groups) groups.erase(id);
    for (const auto& [id, row] : changes.allocations) {
      if (row) {
        allocations[id] = *row;
      } else {
        allocations.erase(id);
      }
    }
    for (const auto& [id, row] : changes.nodes) nodes[id] = row;
    for (const Exclusion& row : changes.exclusions) {
      if (row.until == 0) exclusions.erase({row.group_id, row.node_id});
      if (row.until != 0) exclusions[{row.group_id, row.node_id}] = row;
    }
    event_sequence += std::ssize(changes.events);
    for (const std::string& id : changes.desired) told[id] = wishes_of(fleet, id);
    for (const std::string& id : changes.routes) {
      if (fleet.groups.find(id) == nullptr) continue;
      routes[id] = to_json_text(route_of(fleet, fleet.groups.at(id)));
    }
  }
  static std::map<std::string, link::ReplicaWish> wishes_of(const Fleet& fleet,
                                                            const std::string& node_id) {
    std::map<std::string, link::ReplicaWish> out;
    for (const link::Assignment& assignment : desired_of(fleet, node_id, 1).assignments) {
      out[assignment.allocation_id] = assignment.wish;
    }
    return out;
  }

  std::map<std::string, Group> groups;
  std::map<std::string, Allocation> allocations;
  std::map<std::string, Node> nodes;
  std::map<std::pair<std::string, std::string>, Exclusion> exclusions;
  int64_t event_sequence = 0;
  std::map<std::string, std::map<std::string, link::ReplicaWish>> told;
  std::map<std::string, std::string> routes;
};

template <class T>
void expect_same_rows(const std::map<std::string, T>& stored,
                      const std::map<std::string, T>& rows) {
  ASSERT_EQ(stored.size(), rows.size());
  for (const auto& [id, row] : rows) EXPECT_EQ(to_json_text(stored.at(id)), to_json_text(row));
}

void check_outside(Outside& outside, const Fleet& fleet) {
  expect_same_rows(outside.groups, fleet.groups.all());
  expect_same_rows(outside.allocations, fleet.allocations.all());
  expect_same_rows(outside.nodes, fleet.nodes.all());
  for (const auto& [id, node] : fleet.nodes.all()) {
    EXPECT_EQ(outside.told[id], Outside::wishes_of(fleet, id));
  }
  for (const auto& [id, group] : fleet.groups.all()) {
    EXPECT_EQ(outside.routes[id], to_json_text(route_of(fleet, group)));
  }
}

class FleetTables : public testing::TestWithParam<uint64_t> {};

TEST_P(FleetTables, IndexesAreWhatAScanGivesAndMarksMissNothing) {
  Tumult tumult(GetParam());
  Outside outside;
  for (int i = 0; i < 600 && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    outside.hear(tumult.step(), tumult.fleet);
    check_allocations(tumult.fleet);
    check_groups(tumult.fleet);
    check_nodes(tumult.fleet, tumult.now());
    if (i % 10 == 0) check_outside(outside, tumult.fleet);
    if (i % 200 == 199) tumult.start_anew(outside.stored());
  }
  EXPECT_GT(tumult.fleet.allocations.all().size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, FleetTables, testing::Values(1, 2, 3, 4));

TEST(ExclusionTable, AnswersAsAScanWould) {
  TurnMarks marks;
  ExclusionTable table(marks);
  SeededRandom random(1);
  std::map<std::pair<std::string, std::string>, int64_t> scan;  // (group, node)
  for (int64_t now = 1; now < 2'000; ++now) {
    const std::string group = "g" + std::to_string(random.below(4));
    const std::string node = "n" + std::to_string(random.below(4));
    const int64_t until = now + static_cast<int64_t>(random.below(50));
    table.add({.group_id = group,
               .node_id = node,
               .until = until,
               .by_failure = random.chance(0.5),
               .reason = {}});
    scan[{group, node}] = std::max(scan[{group, node}], until);
    if (random.chance(0.1)) table.forget_ended(now);
    if (random.chance(0.1)) {
      table.lift(group, node);
      scan.erase({group, node});
    }
    if (random.chance(0.05)) {
      table.lift_all(group, false);
      std::erase_if(scan, [&](const auto& entry) { return entry.first.first == group; });
    }
    std::erase_if(scan, [&](const auto& entry) { return entry.second <= now; });
    EXPECT_EQ(table.holds(group, node, now), scan.contains({group, node}));
    table.forget_ended(now);
    int64_t first = 0;
    for (const auto& [key, end] : scan) first = first == 0 ? end : std::min(first, end);
    EXPECT_EQ(table.first_end(), first);
  }
  table.forget_ended(10'000);
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace mesclun::cloud
