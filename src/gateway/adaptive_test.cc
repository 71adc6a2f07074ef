// What algorithm `adaptive` knows and decides, as pure functions.
#include "gateway/adaptive.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>

#include "gateway/instance_standing.h"
#include "gateway/service_test_kit.h"

namespace mesclun::gateway {
namespace {

using Verdict = BalanceResult::Verdict;

// ---- ServiceModel ----

// Keeps `level` requests there at all times, each of which takes mean × max(1, level/width).
void teach(ServiceModel& model, double& now, size_t requests, uint32_t level, double mean,
           double width, Random& random) {
  std::deque<std::pair<double, ServiceModel::Stay>> there;
  const double mean_here = mean * std::max(1.0, level / width);
  for (size_t i = 0; i < requests; ++i) {
    while (there.size() < level) {
      there.emplace_back(now + exponential(random, mean_here), model.arrive(at(now)));
      std::ranges::sort(there, {}, &std::pair<double, ServiceModel::Stay>::first);
    }
    now = there.front().first;
    model.learn(there.front().second, at(now));
    model.leave(at(now));
    there.pop_front();
  }
  for (size_t i = 0; i < there.size(); ++i) model.leave(at(now));
}

TEST(ServiceModelTest, FindsHowManyAtOnceAreOfUse) {
  for (const double width : {1, 4, 16}) {
    SeededRandom random(3);
    ServiceModel model;
    double now = 0;
    for (int round = 0; round < 3; ++round) {
      for (const uint32_t level : {1, 2, 4, 8, 16, 32}) {
        teach(model, now, 400, level, 0.5, width, random);
      }
    }
    EXPECT_NEAR(model.width(), width, 0.25 * width);
    EXPECT_NEAR(model.mean_seconds(0), 0.5, 0.1);
    ASSERT_TRUE(model.useful_at_once());
    EXPECT_GE(*model.useful_at_once(), width * 0.75);
  }
}

TEST(ServiceModelTest, SetsNoBoundThatNobodyHasShown) {
  SeededRandom random(4);
  ServiceModel model;
  double now = 0;
  for (int round = 0; round < 5; ++round) {
    for (const uint32_t level : {1, 3, 9}) teach(model, now, 300, level, 0.5, 1000, random);
    EXPECT_FALSE(model.useful_at_once());
  }
  EXPECT_GE(model.width(), 8);
  EXPECT_LE(model.width(), 9);
}

TEST(ServiceModelTest, NoticesAMachineThatSlowsDown) {
  SeededRandom random(5);
  ServiceModel model;
  double now = 0;
  teach(model, now, 1000, 1, 0.5, 1, random);
  EXPECT_NEAR(model.mean_seconds(0), 0.5, 0.1);
  teach(model, now, 200, 1, 1.5, 1, random);
  EXPECT_NEAR(model.mean_seconds(0), 1.5, 0.4);
}

TEST(ServiceModelTest, AYoungOneCountsAsTheOthersDo) {
  SeededRandom random(6);
  ServiceModel model;
  EXPECT_EQ(model.mean_seconds(2), 2);
  double now = 0;
  teach(model, now, 1, 1, 0.1, 1, random);
  EXPECT_GT(model.mean_seconds(2), 1);
  teach(model, now, 100, 1, 0.1, 1, random);
  EXPECT_LT(model.mean_seconds(2), 0.3);
}

// ---- the choice ----

AdaptiveCandidate ready(double mean, uint32_t in_flight = 0, uint32_t places = UINT32_MAX) {
  return {.eligible = true, .in_flight = in_flight, .places = places, .mean_seconds = mean};
}

BalanceResult choose_of(std::vector<AdaptiveCandidate> all, size_t waiting = 1, size_t start = 0) {
  return choose_adaptive(all, waiting, start);
}

TEST(Adaptive, TakesWhoIsDoneFirst) {
  EXPECT_EQ(choose_of({ready(1), ready(0.25), ready(0.5)}).index, 1u);
  EXPECT_EQ(choose_of({ready(1), ready(0.25, 2), ready(0.5)}).index, 2u);
  EXPECT_EQ(choose_of({ready(1), ready(0.25, 1), ready(0.5, 5)}).index, 1u)
      << "0.5 s there, 1 s free";
  EXPECT_EQ(choose_of({ready(1), ready(1), ready(1.01)}, 1, 2).index, 2u) << "nearly equal";
}

TEST(Adaptive, LeavesASlowOneFreeForAShortQueueOnly) {
  const std::vector<AdaptiveCandidate> all = {ready(0.2, 1, 1), ready(0.2, 1, 1), ready(2)};
  EXPECT_EQ(choose_of(all, 1).verdict, Verdict::AllBusy);
  EXPECT_EQ(choose_of(all, 10).index, 2u);
}

TEST(Adaptive, OutliersAndSuspectsAreForWantOfOthers) {
  AdaptiveCandidate ejected = ready(0.1);
  ejected.ejected = true;
  AdaptiveCandidate suspect = ready(0.1);
  suspect.suspect = true;
  EXPECT_EQ(choose_of({ejected, suspect, ready(1, 5)}).index, 2u);
  EXPECT_EQ(choose_of({ejected, suspect}).index, 0u);
  EXPECT_EQ(choose_of({suspect}).verdict, Verdict::Chosen);
  EXPECT_EQ(choose_of({ejected, ejected, ready(1, 5)}).index, 0u) << "more than half are ejected";
  AdaptiveCandidate refusing = ready(0.1);
  refusing.refusing = true;
  EXPECT_EQ(choose_of({refusing, ready(1, 5)}).index, 1u);
  EXPECT_EQ(choose_of({refusing}).verdict, Verdict::AllBusy);
  EXPECT_EQ(choose_of({{}, {}}).verdict, Verdict::NoneEligible);
  EXPECT_EQ(choose_of({}).verdict, Verdict::NoneEligible);
}

// ---- what is known of one ----

TEST(InstanceStandingTest, ABurstDoesNotAllGoToWhoWakesFirst) {
  InstanceStanding standing(at(0));
  EXPECT_EQ(standing.candidate(at(0.5), 1).places, 4u);
  EXPECT_EQ(standing.candidate(at(3.5), 1).places, 32u);
  EXPECT_GT(standing.candidate(at(11), 1).places, 100'000u);
  const auto stay = standing.arrive(at(0.6));
  standing.leave(stay, {.kind = Outcome::Kind::Served}, at(0.7));
  EXPECT_EQ(standing.candidate(at(0.7), 1).places, 5u);
}

TEST(InstanceStandingTest, ARefusalIsABoundThatGrowsAgain) {
  InstanceStanding standing(at(0));
  std::vector<ServiceModel::Stay> stays;
  for (int i = 0; i < 6; ++i) stays.push_back(standing.arrive(at(20)));
  standing.leave(stays[5], {.kind = Outcome::Kind::Busy, .retry_after = 30s}, at(20));
  EXPECT_TRUE(standing.candidate(at(20.5), 1).refusing);
  EXPECT_FALSE(standing.candidate(at(21.1), 1).refusing) << "the next request finds out";
  EXPECT_EQ(standing.candidate(at(21.1), 1).places, 5u);
  standing.leave(stays[4], {.kind = Outcome::Kind::Busy}, at(21.1));
  standing.leave(stays[3], {.kind = Outcome::Kind::Served}, at(21.15));
  EXPECT_FALSE(standing.candidate(at(21.15), 1).refusing) << "a place has become free";
  for (int i = 0; i < 5; ++i) {
    standing.leave(standing.arrive(at(22)), {.kind = Outcome::Kind::Served}, at(22.1));
  }
  EXPECT_EQ(standing.candidate(at(23), 1).places, 5u) << "one more for each round";
}

TEST(InstanceStandingTest, WhatItSaysOfItselfCounts) {
  InstanceStanding standing(at(0));
  const auto first = standing.arrive(at(20));
  const auto second = standing.arrive(at(20));
  // Eight places, six requests there: two of them are ours.
  standing.leave(first, {.kind = Outcome::Kind::Served, .load = LoadReport{0.75, 8}}, at(21));
  EXPECT_EQ(standing.candidate(at(21), 1).places, 4u);
  EXPECT_EQ(standing.candidate(at(21), 1).width, 8);
  EXPECT_GT(standing.candidate(at(40), 1).places, 100'000u) << "long ago";
  standing.leave(second, {}, at(41));
}

TEST(InstanceStandingTest, ALongWayNeedsRequestsUnderWay) {
  InstanceStanding standing(at(0));
  for (int i = 0; i < 20; ++i) {
    const auto stay = standing.arrive(at(20 + i));
    standing.leave(stay, {.kind = Outcome::Kind::Served, .load = LoadReport{0.25, 4}},
                   at(20.1 + i));
  }
  EXPECT_EQ(standing.candidate(at(40), 0.1).places, 4u);
  standing.note_reach(50ms);
  EXPECT_EQ(standing.candidate(at(40), 0.1).places, 6u)
      << "half as long as the work: half as many more";
}

// ---- outliers ----

TEST(Outlier, FiveFailuresInARowAreBad) {
  FailureShare share;
  for (int i = 0; i < 100; ++i) share.count(false);
  for (int i = 0; i < 4; ++i) share.count(true);
  EXPECT_FALSE(share.is_bad());
  share.count(true);
  EXPECT_TRUE(share.is_bad());
  for (int i = 0; i < 5; ++i) share.count(false);
  EXPECT_FALSE(share.is_bad());
}

TEST(Outlier, NeverMoreThanHalfAreEjectedAndNeverTheLast) {
  const EjectionRule rule;
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 4, .ejected = 1}, rule), 5s);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 4, .ejected = 2}, rule), std::nullopt);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 2}, rule), 5s);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 1}, rule), std::nullopt);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 0}, rule), std::nullopt);
  EXPECT_EQ(eject_for({.bad = false, .could_serve = 9}, rule), std::nullopt);
  EXPECT_EQ(eject_for({.bad = true, .others_share = 0.4, .could_serve = 9}, rule), std::nullopt)
      << "the application fails everywhere";
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 9, .times = 2}, rule), 15s);
  EXPECT_EQ(eject_for({.bad = true, .could_serve = 9, .times = 50}, rule), 60s);
}

}  // namespace
}  // namespace mesclun::gateway
