// A gateway hears of routes as the cloud has them, and its table goes with its process.
#include "sim/sim_gateway.h"

#include "sim/cloud_test_kit.h"
#include "sim/route_checker.h"

namespace mesclun::sim {
namespace {

class SimGatewayTest : public CloudTest {
 protected:
  SimGatewayTest() : CloudTest(1) {}
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
    CloudTest::create(name, 1,
                      R"({"networking": {"auth": false, "port": 80, "protocol": "http"}})");
  }
  std::vector<std::string> wrong() { return wrong_routes(gateway, cloud->running()->fleet()); }

  SimGateway gateway{0, loop.executor(), loop.clock, random, network, kToken};
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
