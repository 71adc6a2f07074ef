#include "cloud/group_followers.h"

#include "base/test_loop.h"

namespace mesclun::cloud {
namespace {

Task<Result<>> wait_once(GroupFollowers::Follower& follower, Clock& clock, Duration& took) {
  const TimePoint before = clock.now();
  CO_TRY_DO(co_await follower.wait_until(clock, before + 30s));
  took = clock.now() - before;
  co_return Result<>();
}

TEST(GroupFollowers, NewsOfAGroupWakeWhoFollowsIt) {
  VirtualLoop loop;
  GroupFollowers followers(loop.executor());
  Scope scope(loop.executor(), "followers");
  std::vector<std::unique_ptr<GroupFollowers::Follower>> all;
  std::vector<Duration> took(40);
  for (size_t i = 0; i < took.size(); ++i) {
    all.push_back(followers.follow("g" + std::to_string(i % 4)));
    scope.spawn(wait_once(*all.back(), loop.clock, took[i]));
  }
  loop.clock.run_for(10s);
  EXPECT_EQ(followers.waits(), 40u);
  followers.tell("g1");
  followers.tell("nobody follows it");
  loop.clock.run_for(1s);
  EXPECT_EQ(scope.running(), 30u);
  EXPECT_EQ(followers.waits(), 40u) << "nobody else was woken";
  loop.clock.run_for(1min);
  EXPECT_EQ(scope.running(), 0u);
  for (size_t i = 0; i < took.size(); ++i) EXPECT_EQ(took[i], i % 4 == 1 ? 10s : 30s);
  EXPECT_EQ(followers.followed(), 4u);
  all.clear();
  EXPECT_EQ(followers.followed(), 0u);
}

TEST(GroupFollowers, WhatCameWhileOneLookedIsNotMissed) {
  VirtualLoop loop;
  GroupFollowers followers(loop.executor());
  const auto follower = followers.follow("g");
  followers.tell("g");
  Duration took = 1h;
  loop.run(wait_once(*follower, loop.clock, took));
  EXPECT_EQ(took, 0s);
  loop.run(wait_once(*follower, loop.clock, took));
  EXPECT_EQ(took, 30s) << "news are told once";
}

}  // namespace
}  // namespace mesclun::cloud
