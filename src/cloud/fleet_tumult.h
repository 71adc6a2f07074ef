// For tests of the fleet: machines and people that do anything, by a seed.
#pragma once

#include <gtest/gtest.h>

#include "api/gpu_class.h"
#include "base/ids.h"
#include "cloud/fleet_drain.h"
#include "cloud/fleet_groups.h"
#include "cloud/fleet_nodes.h"
#include "cloud/fleet_placement.h"
#include "cloud/fleet_reconcile.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {

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
    if (random_.chance(0.02)) {
      act_as_operator(nodes_[random_.below(nodes_.size())]);
    } else if (random_.chance(0.7)) {
      act_as_node(nodes_[random_.below(nodes_.size())]);
    } else {
      act_as_user();
    }
    reconcile(fleet, now());
    FleetChanges changes = fleet.take_changes();
    for (const std::string& id : changes.desired) {
      fleet.nodes.touch(id, [](Node::Live& live) { ++live.revision; });
    }
    for (const auto& [id, group] : changes.groups) specs[{id, group.version}] = request_of(group);
    return changes;
  }
  void start_anew(FleetSnapshot stored) { fleet.restore(std::move(stored), now()); }

 private:
  void act_as_node(const std::string& id) {
    const Node* node = fleet.nodes.find(id);
    const uint64_t dice = random_.below(100);
    if (node == nullptr || node->live.session == 0 || dice < 5) {
      link::Hello hello{.machine_id = id, .node_secret = "secret-of-" + id};
      hello.facts = facts_of_machine(id);
      EXPECT_TRUE(node_joined(fleet, hello, ++sessions_, now()));
    } else if (dice < 10) {
      node_left(fleet, id, node->live.session, now());
    } else if (dice < 20) {
      node_heard(fleet, id, node->live.session, now());
    } else {
      node_reported(fleet, id, node->live.session, report_of(*node), now());
    }
  }
  void act_as_operator(const std::string& id) {
    if (fleet.nodes.find(id) == nullptr) return;
    const bool drain = random_.chance(0.4);
    EXPECT_TRUE(drain ? drain_node(fleet, id, now()) : undrain_node(fleet, id, now()));
  }
  // The same machine at most times.
  link::NodeFacts facts_of_machine(const std::string& id) {
    const size_t kind = ring_position(id) % 6;
    link::NodeFacts facts;
    facts.country = random_.chance(0.02) ? "jp" : kind % 2 == 0 ? "us" : "de";
    facts.cpu = random_.chance(0.02) ? 3 : 8;
    facts.memory_mb = 16'384;
    facts.storage_mb = 100'000;
    for (size_t i = 0; i < kind / 2; ++i) {
      facts.gpus.push_back({.class_id = gpu_class(i), .device = "GPU-" + std::to_string(i)});
    }
    return facts;
  }
  static std::string gpu_class(size_t i) { return api::known_gpu_classes()[i].id; }
  json::array random_classes() {
    json::array out;
    for (size_t i = 0; i < 2; ++i) {
      if (random_.chance(0.4)) out.emplace_back(gpu_class(i));
    }
    return out;
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
    } else if (dice < 36) {
      patch(group, json::object{{"container", {{"resources", random_resources()}}}});
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
  json::object random_resources() {
    return {{"cpu", 1 + random_.below(5)},
            {"memory", 1024 * (1 + random_.below(6))},
            {"gpu_classes", random_classes()}};
  }
  void create() {
    json::value document = parse_json(R"({"autostart_policy": true, "restart_policy": "never",
        "networking": {"auth": false, "port": 80, "protocol": "http"},
        "container": {"image": "i", "resources": {"cpu": 2, "memory": 2048}}})")
                               .value();
    document.at("container").as_object()["resources"] = random_resources();
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
  std::map<std::pair<std::string, int32_t>, PlacementRequest> specs;  // by group and version
};

}  // namespace mesclun::cloud
