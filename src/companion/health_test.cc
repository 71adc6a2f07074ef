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
