// For tests of the fleet's rules: nodes that do what they are told, under a hand-moved clock.
#pragma once

#include <gtest/gtest.h>

#include "api/gpu_class.h"
#include "base/ids.h"
#include "cloud/fleet_groups.h"
#include "cloud/fleet_nodes.h"
#include "cloud/fleet_reconcile.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {

class FleetTest : public testing::Test {
 protected:
  FleetTest() : fleet_(FleetSettings{}, random_) {}

  Moment now() const {
    return {TimePoint(std::chrono::hours(1)) + passed_,
            from_unix_nanos(1'800'000'000'000'000'000) + passed_};
  }
  void wait(Duration length) { passed_ += length; }

  std::string add_node(const std::string& country = "us", std::vector<std::string> gpus = {}) {
    const std::string id = new_uuid(random_);
    join(id, country, std::move(gpus));
    report(id);
    return id;
  }
  void join(const std::string& id, const std::string& country = "us",
            std::vector<std::string> gpus = {}, int32_t cpu = 4) {
    link::Hello hello{.machine_id = id, .node_secret = "secret-of-" + id};
    hello.facts.country = country;
    hello.facts.cpu = cpu;
    hello.facts.memory_mb = 8192;
    hello.facts.storage_mb = 100'000;
    for (const std::string& gpu : gpus) hello.facts.gpus.push_back({.class_id = gpu});
    const Result<> joined = node_joined(fleet_, hello, ++sessions_[id], now());
    EXPECT_TRUE(joined);
  }
  // What the node would say if it runs all that it should; `edit` changes that.
  void report(const std::string& id, const std::function<void(link::ReplicaStatus&)>& edit = {}) {
    link::Report report;
    report.revision = fleet_.nodes.at(id).live.revision;
    for (const std::string& allocation_id : fleet_.allocations.on_node(id)) {
      const Allocation& allocation = fleet_.allocations.at(allocation_id);
      if (allocation.done()) continue;
      link::ReplicaStatus status{.instance_id = allocation.status.instance_id,
                                 .version = allocation.wish.version,
                                 .run = allocation.wish.run,
                                 .state = link::RunState::Running,
                                 .started = true,
                                 .ready = true,
                                 .update_time = to_unix_nanos(now().wall)};
      if (allocation.wish.stop) {
        status.state = link::RunState::Ended;
        status.outcome = link::RunOutcome::Stopped;
      }
      if (edit) edit(status);
      report.instances.push_back({allocation_id, status});
    }
    node_reported(fleet_, id, sessions_[id], report, now());
    turn();
  }
  void report_all() {
    std::vector<std::string> ids;
    for (const auto& [id, node] : fleet_.nodes.all()) {
      if (node.live.session != 0) ids.push_back(id);
    }
    for (const std::string& id : ids) report(id);
  }
  void turn() {
    reconcile(fleet_, now());
    const FleetChanges changes = fleet_.take_changes();
    for (const Event& event : changes.events) events_.push_back(event.event_name);
    for (const std::string& id : changes.desired) {
      const Node* node = fleet_.nodes.find(id);
      if (node == nullptr || !node->online()) continue;
      fleet_.nodes.touch(id, [this](Node::Live& live) { live.revision = ++revision_; });
    }
  }
  std::string create(int32_t replicas, std::string_view extra = "{}") {
    json::value document = merge_patch(parse_json(R"({"name": "ocr", "autostart_policy": true,
        "container": {"image": "i", "resources": {"cpu": 1, "memory": 1024}}})")
                                           .value(),
                                       parse_json(extra).value());
    document.as_object()["replicas"] = replicas;
    const auto spec = api::read_group_spec(document, api::known_gpu_classes());
    EXPECT_TRUE(spec) << spec.error().message;
    const ProjectIdentity project{"org", "acme", "project", "web"};
    const auto id = create_group(fleet_, project, *spec, 500, now());
    EXPECT_TRUE(id) << id.error().message;
    turn();
    return *id;
  }
  void patch(const std::string& group, std::string_view change_text) {
    const auto change = api::patch_group_spec(
        fleet_.groups.at(group).spec, parse_json(change_text).value(), api::known_gpu_classes());
    ASSERT_TRUE(change) << change.error().message;
    ASSERT_TRUE(patch_group(fleet_, group, *change, 500, now()));
    turn();
  }
  // Turn after turn, until nothing is left to do.
  void settle_down() {
    do {
      turn();
    } while (idle_time(fleet_, now()) == Duration::zero());
  }
  std::vector<const Allocation*> serving(const std::string& group) {
    std::vector<const Allocation*> out;
    for (const Allocation* a : instances_of(fleet_, group)) {
      if (a->serves()) out.push_back(a);
    }
    return out;
  }
  size_t count_events(std::string_view name) const {
    return static_cast<size_t>(std::ranges::count(events_, name));
  }

  SeededRandom random_{1};
  Fleet fleet_;
  Duration passed_{};
  std::map<std::string, int64_t> sessions_;
  int64_t revision_ = 0;
  std::vector<std::string> events_;
};

}  // namespace mesclun::cloud
