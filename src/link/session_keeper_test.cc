#include "link/session_keeper.h"

#include <gtest/gtest.h>

#include "base/test_loop.h"

namespace mesclun::link {
namespace {

const Error kAway = Error::unavailable("away");
const Error kRefused{ErrorCode::Unauthenticated, "who are you"};

class RedialTest : public testing::Test {
 protected:
  Redial::Step after(Redial& redial, const Error& error) {
    return redial.after(error, now, random);
  }

  SeededRandom random{1};
  TimePoint now{};
};

TEST_F(RedialTest, WaitsLongerAndLongerUntilThePeerHasStood) {
  Redial redial({.back_off_min = 200ms, .back_off_max = 5s, .refused_wait = 30s});
  EXPECT_LE(after(redial, kAway).wait, 200ms);
  for (int i = 0; i < 10; ++i) EXPECT_LE(after(redial, kAway).wait, 5s);
  EXPECT_GE(after(redial, kAway).wait, 2500ms);
  redial.stands(now);
  now += 1s;
  EXPECT_LE(after(redial, kAway).wait, 200ms);
}

TEST_F(RedialTest, APeerThatDropsUsAtOnceIsNotDialledForEverAsIfItHadJustGone) {
  Redial redial({.back_off_min = 200ms, .back_off_max = 5s});
  for (int i = 0; i < 10; ++i) {
    redial.stands(now);
    now += 10ms + after(redial, kAway).wait;
  }
  EXPECT_GE(after(redial, kAway).wait, 2500ms);
}

TEST_F(RedialTest, ARefusalIsTriedAgainSlowlyWhereThatIsWanted) {
  Redial slow({.refused_wait = 30s});
  EXPECT_EQ(after(slow, kRefused).wait, Duration(30s));
  EXPECT_TRUE(after(slow, kRefused).refused);
  EXPECT_FALSE(after(slow, kAway).refused);
  Redial as_usual({.back_off_min = 200ms});
  EXPECT_LE(after(as_usual, kRefused).wait, 200ms);
}

TEST_F(RedialTest, OnlyWhatIsNotKnownYetIsNews) {
  Redial redial({});
  EXPECT_TRUE(after(redial, kAway).news);
  EXPECT_FALSE(after(redial, kAway).news);
  EXPECT_TRUE(after(redial, kRefused).news);
  EXPECT_TRUE(after(redial, kAway).news);
  redial.stands(now);
  EXPECT_TRUE(after(redial, kAway).news);
}

// Accepts, refuses, or never answers a dial.
class FakeDialer final : public Dialer {
 public:
  explicit FakeDialer(VirtualLoop& loop) : loop_(loop) {}
  Task<Result<SessionPtr>> dial() override {
    ++dials;
    if (hangs) CO_TRY_DO(co_await loop_.clock.sleep_for(24h));
    if (away) co_return kAway;
    auto [ours, theirs] = memory_session_pair(loop_.executor(), loop_.clock);
    peer = std::move(theirs);
    co_return std::move(ours);
  }
  int dials = 0;
  bool away = false;
  bool hangs = false;
  SessionPtr peer;

 private:
  VirtualLoop& loop_;
};

struct World {
  VirtualLoop loop;
  SeededRandom random{1};
  FakeDialer dialer{loop};
  SessionKeeper keeper{"test", loop.clock, random, dialer, {.refused_wait = 30s}};
  Scope scope{loop.executor(), "keeper"};

  World() {
    scope.spawn(keeper.run([this](Session& session) { return talk(session); }));
  }
  ~World() {
    scope.cancel();
    loop.clock.run_ready();
    EXPECT_EQ(scope.running(), 0u);
  }
  Task<Result<>> talk(Session& session) {
    keeper.stands(session);
    while (true) {
      CO_TRY(const Message message, co_await hear(session, 1h));
    }
  }
};

TEST(SessionKeeper, DialsAgainWhenASessionBreaks) {
  World world;
  world.loop.clock.run_for(1min);
  EXPECT_EQ(world.dialer.dials, 1);
  EXPECT_EQ(world.keeper.state(), "connected");
  world.dialer.peer->close();
  world.loop.clock.run_for(1s);
  EXPECT_EQ(world.dialer.dials, 2);
  EXPECT_EQ(world.keeper.state(), "connected");
}

TEST(SessionKeeper, SaysWhyThereIsNoSession) {
  World world;
  world.dialer.away = true;
  world.loop.clock.run_for(1min);
  EXPECT_EQ(world.keeper.state(), "not connected: away");
  world.dialer.away = false;
  world.loop.clock.run_for(11s);
  EXPECT_EQ(world.keeper.state(), "connected");
  EXPECT_TRUE(world.dialer.peer->send(
      Goodbye{.code = std::string(to_string(kRefused.code)), .reason = kRefused.message}));
  const int dials = world.dialer.dials;
  world.loop.clock.run_for(29s);
  EXPECT_EQ(world.keeper.state(), "refused by the cloud: who are you");
  EXPECT_EQ(world.dialer.dials, dials);
  world.loop.clock.run_for(2s);
  EXPECT_EQ(world.dialer.dials, dials + 1);
}

TEST(SessionKeeper, ADialThatHangsIsGivenUp) {
  World world;
  world.dialer.hangs = true;
  world.loop.clock.run_for(1min);
  EXPECT_GE(world.dialer.dials, 3);
}

}  // namespace
}  // namespace mesclun::link
