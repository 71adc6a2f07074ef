#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "companion/health_judge.h"

namespace mesclun::companion {
namespace {

using ::testing::HasSubstr;

const TimePoint kStart = TimePoint(1h);

struct HealthTest : ::testing::Test {
  ApplicationConfig config;
  HealthJudge judge{config};

  Health at(TimePoint now, WorkFacts work = {}) { return judge.verdict(now, work).health; }
};

TEST_F(HealthTest, StartingUntilStartedThenReadyOrBusy) {
  EXPECT_EQ(at(kStart), Health::Starting);
  judge.started(kStart);
  EXPECT_EQ(at(kStart), Health::Ready);
  EXPECT_EQ(at(kStart, {.queue_full = true}), Health::Busy);
  judge.stopping();
  EXPECT_EQ(at(kStart), Health::Stopping);
}

TEST_F(HealthTest, ChecksInARowFailItAndOnePassHealsIt) {
  judge.started(kStart);
  judge.check_failed("no answer", false);
  judge.check_failed("no answer", false);
  EXPECT_EQ(at(kStart), Health::Ready);
  judge.check_failed("no answer within 5 s", false);
  EXPECT_EQ(at(kStart), Health::Failed);
  EXPECT_THAT(judge.verdict(kStart, {}).reason, HasSubstr("3 health checks in a row failed"));
  judge.check_passed();
  EXPECT_EQ(at(kStart), Health::Ready);
}

TEST_F(HealthTest, AnApplicationAtWorkMayBeDeaf) {
  judge.started(kStart);
  for (int i = 0; i < 100; ++i) judge.check_failed("no answer", true);
  EXPECT_EQ(at(kStart + 4min, {.queue_full = true, .oldest_dispatch = kStart}), Health::Busy);
}

TEST_F(HealthTest, ARequestThatNeverEndsIsAHang) {
  judge.started(kStart);
  judge.check_passed();
  EXPECT_EQ(at(kStart + config.hang_after, {.oldest_dispatch = kStart}), Health::Failed);
  judge.answered(kStart + 4min, false);
  EXPECT_EQ(at(kStart + config.hang_after, {.oldest_dispatch = kStart}), Health::Ready)
      << "others were answered meanwhile";
}

TEST_F(HealthTest, RequestsThatEachEndAtTheirDeadlineAreOneHang) {
  judge.started(kStart);
  const Duration each = config.hang_after / 10;
  TimePoint now = kStart;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(at(now + each - 1s, {.oldest_dispatch = now}), Health::Ready) << i;
    judge.unanswered(now, now + each);
    now += each + 1h;  // nobody asks meanwhile
  }
  now -= 1h;
  EXPECT_EQ(at(now), Health::Failed) << "also when nothing is in flight, for it is refused now";
  const TimePoint later = now + config.failed_grace + 31s;
  EXPECT_EQ(at(later), Health::Ready) << "one more chance, if nobody acted";
  EXPECT_EQ(at(later + 1s, {.oldest_dispatch = later}), Health::Failed);
  judge.replied(later + 2s);
  EXPECT_EQ(at(later + 3s, {.oldest_dispatch = later}), Health::Ready);
}

TEST_F(HealthTest, WhatManyHadAtOnceIsOneSilence) {
  judge.started(kStart);
  const Duration half = config.hang_after / 2;
  for (int i = 0; i < 10; ++i) judge.unanswered(kStart, kStart + half);
  EXPECT_EQ(at(kStart + half), Health::Ready);
}

TEST_F(HealthTest, OneInputThatFailsOverAndOverIsOneError) {
  judge.started(kStart);
  for (int i = 0; i < 100; ++i) judge.answered(kStart, true, 7);
  for (int i = 0; i < 18; ++i) judge.answered(kStart, true, 100 + i);
  EXPECT_EQ(at(kStart), Health::Ready) << "19 inputs";
  judge.answered(kStart, true, 8);
  EXPECT_EQ(at(kStart), Health::Failed);
}

TEST_F(HealthTest, ErrorsBeyondTheRateFailItUntilTheWindowHasPassed) {
  judge.started(kStart);
  for (int i = 0; i < 19; ++i) judge.answered(kStart, true);
  EXPECT_EQ(at(kStart), Health::Ready) << "too few to judge";
  judge.answered(kStart + 1s, true);
  EXPECT_EQ(at(kStart + 1s), Health::Failed);
  EXPECT_THAT(judge.verdict(kStart + 1s, {}).reason, HasSubstr("20 of 20 answers"));
  EXPECT_EQ(at(kStart + config.error_window + 2s), Health::Ready);
}

TEST_F(HealthTest, HalfTheAnswersMayBeErrorsByDefault) {
  judge.started(kStart);
  for (int i = 0; i < 40; ++i) judge.answered(kStart, i % 2 == 0);
  EXPECT_EQ(at(kStart), Health::Ready);
}

TEST_F(HealthTest, TheDeadStayFailed) {
  judge.started(kStart);
  judge.dead("the application exited with status 3");
  judge.check_passed();
  EXPECT_EQ(at(kStart), Health::Failed);
}

}  // namespace
}  // namespace mesclun::companion
