// The cloud stands still, and healthy nodes are not lost.
#include <fmt/format.h>

#include "api/event_names.h"
#include "sim/cloud_test_kit.h"
#include "sim/sim_node.h"

namespace mesclun::sim {
namespace {

constexpr size_t kNodes = 3;

class StalledCloud : public CloudTest {
 protected:
  StalledCloud() : CloudTest(kNodes) {
    const StartTimes soon{.median_seconds = 1, .max_seconds = 2};
    for (size_t i = 0; i < kNodes; ++i) {
      nodes.push_back(std::make_unique<SimNode>(i, loop.executor(), loop.clock, random, network,
                                                random_facts(random, i), kToken, soon));
      loop.run(nodes.back()->boot());
    }
    create("group", kNodes, R"({"container": {"command": ["work"]}})");
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
  Task<Result<>> power_off_first() {
    co_await nodes.front()->power_off();
    co_return Result<>();
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

  // Instances that were called lost, also where that was taken back: no other node was there.
  size_t losses() {
    size_t count = 0;
    store::Body body = [&count](store::Transaction& tx) -> Result<> {
      TRY(const auto rows, tx.query("SELECT sequence FROM event WHERE document LIKE $1",
                                    {fmt::format("%{}%", api::event::kNodeOffline)}));
      count = rows.size();
      return {};
    };
    loop.run(database->read(std::move(body)));
    return count;
  }

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
    EXPECT_EQ(losses(), 0u) << to_seconds(length);
  }
}

// That losses() sees one.
TEST_F(StalledCloud, ANodeWithoutPowerIsLost) {
  loop.run(power_off_first());
  loop.clock.run_for(60s);
  EXPECT_EQ(losses(), 1u);
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
