#include "agent/token_cache.h"

#include "base/test_loop.h"

namespace mesclun::agent {
namespace {

class TokenCacheTest : public testing::Test {
 protected:
  Result<std::string> token() {
    Result<std::string> out = Error::internal("unset");
    loop.run(ask(out));
    return out;
  }
  Task<Result<>> ask(Result<std::string>& out) {
    out = co_await cache.token("g");
    co_return Result<>();
  }
  bool send(const link::TokenRequest& request) {
    if (!connected) return false;
    ++asked;
    if (!answers) return true;
    const int64_t expires = to_unix_seconds(loop.clock.wall_now() + life);
    cache.on_reply({.group_id = request.group_id, .jwt = jwt, .expires = expires});
    return true;
  }

  VirtualLoop loop;
  bool connected = true;
  bool answers = true;
  int asked = 0;
  std::string jwt = "t1";
  Duration life = 300s;
  TokenCache cache{loop.executor(), loop.clock,
                   [this](const link::TokenRequest& request) { return send(request); }};
};

TEST_F(TokenCacheTest, ATokenIsReusedWhileTwoMinutesAreLeft) {
  EXPECT_EQ(token(), "t1");
  jwt = "t2";
  loop.clock.run_for(179s);
  EXPECT_EQ(token(), "t1");
  EXPECT_EQ(asked, 1);
  loop.clock.run_for(2s);
  EXPECT_EQ(token(), "t2");
  EXPECT_EQ(asked, 2);
}

TEST_F(TokenCacheTest, WithoutACloudTheOldOneServesWhileItIsValid) {
  EXPECT_EQ(token(), "t1");
  connected = false;
  loop.clock.run_for(299s);
  EXPECT_EQ(token(), "t1");
  loop.clock.run_for(2s);
  EXPECT_EQ(token().code(), ErrorCode::Unavailable);
}

TEST_F(TokenCacheTest, NeitherCachedNorAnsweredIsUnavailableWithinTheWait) {
  answers = false;
  const TimePoint before = loop.clock.now();
  EXPECT_EQ(token().code(), ErrorCode::Unavailable);
  EXPECT_EQ(loop.clock.now() - before, kTokenWait);
}

TEST_F(TokenCacheTest, ARefusalIsNotFound) {
  jwt.clear();
  EXPECT_EQ(token().code(), ErrorCode::NotFound);
}

TEST_F(TokenCacheTest, AWrongWallClockNeitherKillsNorProlongsAToken) {
  life = -1h;  // this machine's clock is ahead
  EXPECT_EQ(token(), "t1");
  life = 100h;  // behind
  jwt = "t2";
  loop.clock.run_for(5min);
  EXPECT_EQ(token(), "t2");
  jwt = "t3";
  loop.clock.run_for(181s);
  EXPECT_EQ(token(), "t3");
}

TEST_F(TokenCacheTest, CallersAtOnceAskOnce) {
  answers = false;
  Result<std::string> first = Error::internal("unset");
  Result<std::string> second = Error::internal("unset");
  Scope scope(loop.executor(), "callers");
  scope.spawn(ask(first));
  scope.spawn(ask(second));
  loop.clock.run_for(100ms);
  EXPECT_EQ(asked, 1);
  cache.on_reply(
      {.group_id = "g", .jwt = "t9", .expires = to_unix_seconds(loop.clock.wall_now() + 300s)});
  loop.clock.run_ready();
  EXPECT_EQ(first, "t9");
  EXPECT_EQ(second, "t9");
  EXPECT_EQ(scope.running(), 0u);
}

}  // namespace
}  // namespace mesclun::agent
