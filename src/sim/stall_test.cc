// The cloud stands still, and healthy nodes are not lost.
#include <gtest/gtest.h>

#include "base/test_loop.h"
#include "cloud/fleet_groups.h"
#include "cloud/schema.h"
#include "sim/sim_cloud.h"
#include "sim/sim_node.h"

namespace mesclun::sim {
namespace {

constexpr size_t kNodes = 3;

class StalledCloud : public testing::Test {
 protected:
  StalledCloud() {
    settings.nodes.join_token = "token";
    cloud = std::make_unique<SimCloud>(SimCloud::Parts{.executor = loop.executor(),
                                                       .clock = loop.clock,
                                                       .random = random,
                                                       .network = network,
                                                       .database = *database,
                                                       .log_database = *logs,
                                                       .settings = settings});
    loop.run(cloud->start());
    const StartTimes soon{.median_seconds = 1, .max_seconds = 2};
    for (size_t i = 0; i < kNodes; ++i) {
      nodes.push_back(std::make_unique<SimNode>(i, loop.executor(), loop.clock, random, network,
                                                random_facts(random, i), "token", soon));
      loop.run(nodes.back()->boot());
    }
    loop.run(cloud->submit(create_a_group()));
    loop.clock.run_for(60s);
  }
  ~StalledCloud() override { loop.run(end()); }

  Task<Result<>> end() {
    for (const auto& node : nodes) {
      co_await node->power_off();
      co_await node->driver().close();
    }
    co_await cloud->stop();
    co_return Result<>();
  }
  static cloud::FleetLoop::Command create_a_group() {
    return [](cloud::Fleet& fleet, cloud::Moment now) -> Result<> {
      const json::value document = json::parse(R"({"name": "group", "replicas": 3,
          "restart_policy": "always", "autostart_policy": true,
          "container": {"image": "app", "command": ["work"],
                        "resources": {"cpu": 1, "memory": 1024}}})");
      TRY(api::GroupSpec spec, api::read_group_spec(document, api::known_gpu_classes()));
      TRY_DO(cloud::create_group(fleet, {"o", "o", "p", "p"}, std::move(spec), 10, now));
      return {};
    };
  }
  uint64_t starts() const {
    uint64_t all = 0;
    for (const auto& node : nodes) all += node->driver().starts();
    return all;
  }
  size_t serving() const {
    size_t all = 0;
    for (const auto& [id, allocation] : cloud->running()->fleet().allocations.all()) {
      all += allocation.serves() ? 1 : 0;
    }
    return all;
  }

  VirtualLoop loop;
  SeededRandom random{1};
  const Faults faults = Faults::none();
  std::unique_ptr<store::Database> database =
      store::open_sqlite({}, cloud::cloud_migrations()).value();
  std::unique_ptr<store::Database> logs = store::open_sqlite({}, cloud::log_migrations()).value();
  Network network{loop.executor(), loop.clock, random, faults, kNodes};
  cloud::CloudSettings settings;
  std::unique_ptr<SimCloud> cloud;
  std::vector<std::unique_ptr<SimNode>> nodes;
};

TEST_F(StalledCloud, LosesNoHealthyNode) {
  ASSERT_EQ(serving(), kNodes);
  ASSERT_EQ(starts(), kNodes);
  // At several moments between two heartbeats.
  for (const Duration length : {5s, 24s, 25s, 60s, 62s, 300s}) {
    cloud->stall(length);
    loop.clock.run_for(length + 61'300ms);
    EXPECT_EQ(serving(), kNodes) << to_seconds(length);
    EXPECT_EQ(starts(), kNodes) << to_seconds(length);
  }
}

TEST_F(StalledCloud, AnswersNobodyMeanwhile) {
  cloud->stall(24s);
  const TimePoint begun = loop.clock.now();
  cloud::FleetLoop::Command nothing = [](cloud::Fleet&, cloud::Moment) { return Result<>(); };
  loop.run(cloud->submit(std::move(nothing)));
  EXPECT_GE(loop.clock.now() - begun, 24s);
}

}  // namespace
}  // namespace mesclun::sim
