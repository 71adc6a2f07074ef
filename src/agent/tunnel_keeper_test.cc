#include "agent/tunnel_keeper.h"

#include <gmock/gmock.h>

#include "base/service.h"
#include "base/test_loop.h"

namespace mesclun::agent {
namespace {

class FakeTunnels final : public TunnelDialer {
 public:
  explicit FakeTunnels(VirtualLoop& loop) : broke(loop.executor()), clock(loop.clock) {}

  Task<Result<>> carry(std::string gateway, std::string ticket, ConnectInstance,
                       std::function<void()> up) override {
    dials.push_back(gateway + " " + ticket);
    if (down) co_return Error::unavailable("refused");
    up();
    const uint64_t seen = breaks;
    while (breaks == seen) CO_TRY_DO(co_await broke.wait());
    co_return Error::unavailable("it broke");
  }
  void break_all() {
    ++breaks;
    broke.notify_all();
  }

  bool down = false;
  uint64_t breaks = 0;
  std::vector<std::string> dials;
  Notify broke;
  Clock& clock;
};

class TunnelKeeperTest : public testing::Test {
 protected:
  ~TunnelKeeperTest() override { loop.run(close()); }
  Task<Result<>> close() {
    co_await keeper.close();
    co_return Result<>();
  }

  VirtualLoop loop;
  SeededRandom random{1};
  link::RedialSettings settings{.back_off_min = 50ms, .back_off_max = 5s};
  FakeTunnels tunnels{loop};
  TunnelKeeper keeper{loop.executor(), loop.clock, random, tunnels, settings, {}};
};

TEST_F(TunnelKeeperTest, EveryGatewayHasOneTunnel) {
  keeper.update({"g1:1", "g2:1"}, "t1");
  keeper.update({"g1:1", "g2:1"}, "t2");  // repeated: nothing new is dialled
  loop.clock.run_for(10s);
  EXPECT_EQ(keeper.up(), 2u);
  EXPECT_THAT(tunnels.dials, testing::UnorderedElementsAre("g1:1 t2", "g2:1 t2"));
}

TEST_F(TunnelKeeperTest, ABrokenTunnelIsDialledAgainAtOnceWithTheNewTicket) {
  keeper.update({"g1:1"}, "t1");
  loop.clock.run_for(1s);
  keeper.update({"g1:1"}, "t2");
  tunnels.break_all();
  loop.clock.run_for(settings.back_off_min);
  EXPECT_THAT(tunnels.dials, testing::ElementsAre("g1:1 t1", "g1:1 t2"));
  EXPECT_EQ(keeper.up(), 1u);
}

TEST_F(TunnelKeeperTest, AGatewayThatIsAwayIsTriedWithABoundedBackOff) {
  tunnels.down = true;
  keeper.update({"g1:1"}, "t");
  loop.clock.run_for(1h);
  // Between half of five seconds and five seconds each, after the first few.
  EXPECT_GE(tunnels.dials.size(), 700u);
  EXPECT_LE(tunnels.dials.size(), 1500u);
  tunnels.down = false;
  loop.clock.run_for(5s);
  EXPECT_EQ(keeper.up(), 1u);
}

TEST_F(TunnelKeeperTest, AGatewayThatIsNamedNoMoreIsLeft) {
  keeper.update({"g1:1", "g2:1"}, "t");
  loop.clock.run_for(1s);
  keeper.update({"g2:1"}, "t");
  loop.clock.run_for(1s);
  EXPECT_EQ(keeper.up(), 1u);
  EXPECT_EQ(keeper.wanted(), 1u);
  tunnels.break_all();
  loop.clock.run_for(1s);
  EXPECT_EQ(tunnels.dials.back(), "g2:1 t");
  EXPECT_EQ(tunnels.dials.size(), 3u);
}

}  // namespace
}  // namespace mesclun::agent
