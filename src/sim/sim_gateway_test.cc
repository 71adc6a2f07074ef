// A gateway hears of routes as the cloud has them, and its table goes with its process.
#include "sim/sim_gateway.h"

#include <gtest/gtest.h>

#include "base/test_loop.h"
#include "cloud/fleet_groups.h"
#include "cloud/schema.h"
#include "sim/route_checker.h"
#include "sim/sim_cloud.h"

namespace mesclun::sim {
namespace {

class SimGatewayTest : public testing::Test {
 protected:
  SimGatewayTest() {
    settings.gateways.gateway_token = "token";
    cloud = std::make_unique<SimCloud>(SimCloud::Parts{.executor = loop.executor(),
                                                       .clock = loop.clock,
                                                       .random = random,
                                                       .network = network,
                                                       .database = *database,
                                                       .log_database = *logs,
                                                       .settings = settings});
    loop.run(cloud->start());
  }
  ~SimGatewayTest() override { loop.run(end()); }

  Task<Result<>> end() {
    co_await gateway.end();
    co_await cloud->stop();
    co_return Result<>();
  }
  Task<Result<>> end_gateway() {
    co_await gateway.end();
    co_return Result<>();
  }
  void create(const std::string& name) {
    cloud::FleetLoop::Command command = [name](cloud::Fleet& fleet, cloud::Moment now) -> Result<> {
      const json::value document = json::parse(R"({"name": ")" + name + R"(", "replicas": 1,
          "restart_policy": "always", "autostart_policy": true,
          "container": {"image": "app", "resources": {"cpu": 1, "memory": 1024}},
          "networking": {"auth": false, "port": 80, "protocol": "http"}})");
      TRY(api::GroupSpec spec, api::read_group_spec(document, api::known_gpu_classes()));
      TRY_DO(cloud::create_group(fleet, {"o", "o", "p", "p"}, std::move(spec), 10, now));
      return {};
    };
    loop.run(cloud->submit(std::move(command)));
  }
  std::vector<std::string> wrong() { return wrong_routes(gateway, cloud->running()->fleet()); }

  VirtualLoop loop;
  SeededRandom random{1};
  const Faults faults = Faults::none();
  std::unique_ptr<store::Database> database =
      store::open_sqlite({}, cloud::cloud_migrations()).value();
  std::unique_ptr<store::Database> logs = store::open_sqlite({}, cloud::log_migrations()).value();
  Network network{loop.executor(), loop.clock, random, faults, 1};
  cloud::CloudSettings settings;
  std::unique_ptr<SimCloud> cloud;
  SimGateway gateway{0, loop.executor(), loop.clock, random, network, "token"};
};

TEST_F(SimGatewayTest, HasTheRoutesOfTheCloud) {
  gateway.boot();
  create("one");
  loop.clock.run_for(5s);
  EXPECT_EQ(gateway.routes().size(), 1u);
  EXPECT_EQ(wrong(), std::vector<std::string>());
}

TEST_F(SimGatewayTest, ACutGatewayIsBehind) {
  gateway.boot();
  loop.clock.run_for(5s);
  network.cut(0, loop.clock.now() + 1h);
  create("one");
  loop.clock.run_for(5s);
  EXPECT_EQ(wrong().size(), 1u);
  network.cut(0, loop.clock.now());
  loop.clock.run_for(60s);
  EXPECT_EQ(wrong(), std::vector<std::string>());
}

TEST_F(SimGatewayTest, ItsTableGoesWithIt) {
  gateway.boot();
  create("one");
  loop.clock.run_for(5s);
  loop.run(end_gateway());
  EXPECT_TRUE(gateway.routes().empty());
  EXPECT_FALSE(wrong().empty());
  gateway.boot();
  loop.clock.run_for(5s);
  EXPECT_EQ(wrong(), std::vector<std::string>());
}

}  // namespace
}  // namespace mesclun::sim
