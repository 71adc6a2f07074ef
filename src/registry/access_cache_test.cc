#include "registry/access_cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace mesclun::registry {
namespace {

const TimePoint kNow = TimePoint{} + 1h;
const PullAccess kToken{.kind = PullAccess::Kind::Token, .secret = "t", .life = 300s};

TEST(AccessCache, ATokenIsHandedOutForHalfItsLife) {
  AccessCache cache;
  EXPECT_FALSE(cache.find("a", kNow));
  cache.keep("a", kToken, kNow);
  EXPECT_EQ(cache.find("a", kNow)->value(), kToken);
  EXPECT_EQ(cache.find("a", kNow + 149s)->value().life, 151s);
  EXPECT_FALSE(cache.find("a", kNow + 150s));
  EXPECT_FALSE(cache.find("b", kNow));
}

TEST(AccessCache, ARefusalIsToldAgainForAWhile) {
  AccessCache cache;
  cache.keep("a", Error{ErrorCode::PermissionDenied, "no"}, kNow);
  EXPECT_EQ(cache.find("a", kNow + 9s)->code(), ErrorCode::PermissionDenied);
  EXPECT_FALSE(cache.find("a", kNow + 10s));
  cache.keep("a", Error::unavailable("busy"), kNow);
  EXPECT_EQ(cache.find("a", kNow)->code(), ErrorCode::Unavailable);
  EXPECT_FALSE(cache.find("a", kNow + 1s));
}

TEST(AccessCache, WhenFullWhatEndsFirstGoes) {
  AccessCache cache;
  cache.keep("short", {PullAccess{.life = 10s}}, kNow);
  for (size_t i = 1; i < AccessCache::kEntriesMax; ++i) {
    cache.keep(fmt::format("long {}", i), kToken, kNow);
  }
  cache.keep("one more", kToken, kNow);
  EXPECT_EQ(cache.size(), AccessCache::kEntriesMax);
  EXPECT_FALSE(cache.find("short", kNow));
  EXPECT_TRUE(cache.find("one more", kNow));
  cache.keep("later", kToken, kNow + 1h);
  EXPECT_EQ(cache.size(), 1u);
}

}  // namespace
}  // namespace mesclun::registry
