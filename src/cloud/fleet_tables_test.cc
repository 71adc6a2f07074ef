// Goal: the tables' indexes and marks are right whatever happens. Method: random calls of the
// fleet's rules by a seed, and after every turn a comparison with full scans.
#include <gtest/gtest.h>

#include "api/gpu_class.h"
#include "base/ids.h"
#include "cloud/fleet_groups.h"
#include "cloud/fleet_nodes.h"
#include "cloud/fleet_reconcile.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {
namespace {

// Machines and people that do anything, under a hand-moved clock.
class Tumult {
 public:
  explicit Tumult(uint64_t seed) : random_(seed), fleet(FleetSettings{}, random_) {
    for (int i = 0; i < 12; ++i) nodes_.push_back(new_uuid(random_));
  }

  Moment now() const {
    return {TimePoint(std::chrono::hours(1)) + passed_,
            from_unix_nanos(1'800'000'000'000'000'000) + passed_};
  }
  FleetChanges step() {
    passed_ += std::chrono::milliseconds(random_.below(4'000));
    if (random_.chance(0.01)) passed_ += std::chrono::hours(random_.below(50));
    if (random_.chance(0.7)) {
      act_as_node(nodes_[random_.below(nodes_.size())]);
    } else {
      act_as_user();
    }
    reconcile(fleet, now());
    FleetChanges changes = fleet.take_changes();
    for (const std::string& id : changes.desired) {
      fleet.nodes.touch(id, [](Node::Live& live) { ++live.revision; });
    }
    return changes;
  }
  void start_anew(FleetSnapshot stored) { fleet.restore(std::move(stored), now()); }

 private:
  void act_as_node(const std::string& id) {
    const Node* node = fleet.nodes.find(id);
    const uint64_t dice = random_.below(100);
    if (node == nullptr || node->live.session == 0 || dice < 5) {
      link::Hello hello{.machine_id = id, .node_secret = "secret-of-" + id};
      hello.facts.country = random_.chance(0.5) ? "us" : "de";
      hello.facts.cpu = 8;
      hello.facts.memory_mb = 16'384;
      hello.facts.storage_mb = 100'000;
      EXPECT_TRUE(node_joined(fleet, hello, ++sessions_, now()));
    } else if (dice < 10) {
      node_left(fleet, id, node->live.session, now());
    } else if (dice < 20) {
      node_heard(fleet, id, node->live.session, now());
    } else {
      node_reported(fleet, id, node->live.session, report_of(*node), now());
    }
  }
  link::Report report_of(const Node& node) {
    link::Report report{.revision = node.live.revision};
    if (random_.chance(0.03)) report.mode = link::NodeMode::Draining;
    for (const std::string& id : fleet.allocations.on_node(node.id)) {
      if (random_.chance(0.02)) continue;
      const Allocation& allocation = fleet.allocations.at(id);
      report.instances.push_back({id, status_of(allocation)});
    }
    return report;
  }
  link::ReplicaStatus status_of(const Allocation& allocation) {
    link::ReplicaStatus status = allocation.status;
    if (status.run != 0 && random_.chance(0.3)) return status;
    if (status.run != 0 && status.run != allocation.wish.run) {
      status.instance_id = new_uuid(random_);
    }
    status.version = allocation.wish.version;
    status.run = allocation.wish.run;
    status.state = random_.chance(0.8) ? link::RunState::Running : link::RunState::Creating;
    status.started = status.ready = random_.chance(0.8);
    status.update_time = to_unix_nanos(now().wall);
    if (random_.chance(0.1)) status.instance_id = "the same for several";
    if (!allocation.wish.stop && !random_.chance(0.05)) return status;
    constexpr link::RunOutcome kOutcomes[] = {link::RunOutcome::Succeeded, link::RunOutcome::Failed,
                                              link::RunOutcome::Replace, link::RunOutcome::Stopped};
    status.state = link::RunState::Ended;
    status.outcome = kOutcomes[random_.below(4)];
    status.exclude_node = random_.chance(0.5);
    return status;
  }

  void act_as_user() {
    const auto groups = fleet.groups.of_project("project");
    if (groups.size() < 4) {
      create();
      return;
    }
    const Group& group = *groups[random_.below(groups.size())];
    const auto instances = instances_of(fleet, group.id);
    const uint64_t dice = random_.below(100);
    if (dice < 30) {
      patch(group, json::object{{"replicas", random_.below(7)}});
    } else if (dice < 40) {
      patch(group, json::object{{"country_codes", {random_.chance(0.5) ? "us" : "de"}}});
    } else if (dice < 45) {
      EXPECT_TRUE(stop_group(fleet, group.id, now()));
    } else if (dice < 55) {
      EXPECT_TRUE(start_group(fleet, group.id, now()));
    } else if (dice < 60) {
      EXPECT_TRUE(delete_group(fleet, group.id, now()));
    } else if (!instances.empty()) {
      const std::string id = instances[random_.below(instances.size())]->status.instance_id;
      Result<> done;
      if (dice < 75)
        done = reallocate(fleet, group.id, id, now());
      else if (dice < 90)
        done = run_again(fleet, group.id, id, link::RunAction::Restart);
      else
        done = set_deletion_cost(fleet, group.id, id, static_cast<int32_t>(dice));
      EXPECT_TRUE(done);
    }
  }
  void create() {
    json::value document = parse_json(R"({"autostart_policy": true, "restart_policy": "never",
        "networking": {"auth": false, "port": 80, "protocol": "http"},
        "container": {"image": "i", "resources": {"cpu": 2, "memory": 2048}}})")
                               .value();
    document.as_object()["name"] = "group-" + std::to_string(++created_);
    document.as_object()["replicas"] = 1 + random_.below(5);
    const auto spec = api::read_group_spec(document, api::known_gpu_classes());
    const ProjectIdentity project{"org", "acme", "project", "web"};
    EXPECT_TRUE(create_group(fleet, project, *spec, 500, now()));
  }
  void patch(const Group& group, const json::value& patch) {
    const auto change = api::patch_group_spec(group.spec, patch, api::known_gpu_classes());
    EXPECT_TRUE(patch_group(fleet, group.id, *change, 500, now()));
  }

  SeededRandom random_;
  std::vector<std::string> nodes_;
  Duration passed_{};
  int64_t sessions_ = 0;
  int created_ = 0;

 public:
  Fleet fleet;
};

using Ids = AllocationTable::Ids;

void check_allocations(const Fleet& fleet) {
  const AllocationTable& table = fleet.allocations;
  std::map<std::string, Ids> by_group;
  std::map<std::string, Ids> by_node;
  std::map<std::string, Ids> by_slot;
  std::map<std::string, std::vector<const Allocation*>> by_instance;
  std::map<std::string, GroupTally> tallies;
  Ids waiting;
  for (const auto& [id, row] : table.all()) {
    by_group[row.group_id].insert(id);
    by_slot[row.slot].insert(id);
    if (row.placed()) by_node[row.node_id].insert(id);
    if (!row.placed()) waiting.insert(id);
    tallies[row.group_id] += tally_of(row);
    by_instance[row.status.instance_id].push_back(&row);
  }
  EXPECT_EQ(table.waiting(), waiting);
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
  int32_t replicas = 0;
  for (const auto& [id, group] : fleet.groups.all()) {
    EXPECT_TRUE(fleet.groups.is_name_taken(group.project_id, group.spec.name));
    EXPECT_TRUE(fleet.groups.is_dns_taken(group.dns));
    EXPECT_EQ(fleet.groups.find_named(group.project_id, group.spec.name),
              group.gone ? nullptr : &group);
    if (group.delete_time != 0) continue;
    live[group.spec.name] = &group;
    replicas += group.spec.replicas;
  }
  std::vector<const Group*> by_name;
  for (const auto& [name, group] : live) by_name.push_back(group);
  EXPECT_EQ(fleet.groups.of_project("project"), by_name);
  EXPECT_EQ(fleet.groups.replicas_of("org"), replicas);
}

void check_nodes(const Fleet& fleet, Moment now) {
  TimePoint first = TimePoint::max();
  std::vector<std::string> silent;
  std::set<std::string> offered;
  for (const auto& [id, node] : fleet.nodes.all()) {
    if (node.online() && node.mode == link::NodeMode::Active) offered.insert(id);
    if (node.live.silent_beyond_grace) continue;
    const TimePoint over = node.live.last_heard + fleet.settings.node_grace;
    first = std::min(first, over);
    if (over <= now.steady + 10s) silent.push_back(id);
  }
  EXPECT_EQ(fleet.nodes.offered(), offered);
  EXPECT_EQ(fleet.nodes.first_silence(), first);
  EXPECT_EQ(fleet.nodes.silent_at(now.steady + 10s), silent);
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
    for (const auto& [id, row] : changes.allocations) {
      if (row) {
        allocations[id] = *row;
      } else {
        allocations.erase(id);
      }
    }
    for (const auto& [id, row] : changes.nodes) nodes[id] = row;
    for (const Exclusion& row : changes.exclusions) exclusions[{row.group_id, row.node_id}] = row;
    event_sequence += std::ssize(changes.events);
    for (const std::string& id : changes.desired) told[id] = wishes_of(fleet, id);
    for (const std::string& id : changes.routes) {
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
    table.add({group, node, until});
    scan[{group, node}] = std::max(scan[{group, node}], until);
    if (random.chance(0.1)) table.forget_ended(now);
    std::erase_if(scan, [&](const auto& entry) { return entry.second <= now; });
    int64_t first = 0;
    std::set<std::string> away;
    for (const auto& [key, end] : scan) {
      if (key.first == group && (first == 0 || end < first)) first = end;
      if (key.second == node) away.insert(key.first);
    }
    EXPECT_EQ(table.holds(group, node, now), scan.contains({group, node}));
    EXPECT_EQ(table.first_end(group, now), first);
    EXPECT_EQ(table.of_node(node, now), away);
  }
  table.forget_ended(10'000);
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace mesclun::cloud
