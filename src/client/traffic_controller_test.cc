// The decisions of the traffic controller, over values and times.
#include "client/traffic_controller.h"

#include <gtest/gtest.h>

namespace mesclun::client {
namespace {

constexpr TimePoint kStart = TimePoint(1h);

HttpReply reply_of(int status, const std::string& retry_after = "") {
  HttpReply reply{.status = status};
  if (!retry_after.empty()) reply.headers.add("Retry-After", retry_after);
  return reply;
}

constexpr WallTime kNow{std::chrono::seconds(784'111'777)};  // Sun, 06 Nov 1994 08:49:37 GMT

Outcome outcome_of(int status) {
  return judge(reply_of(status), kNow);
}

// Answers of `latency`, one after the other, so that the controller knows the server.
TimePoint teach(TrafficController& controller, TimePoint now, int count, Duration latency) {
  for (int i = 0; i < count; ++i) {
    while (!controller.may_send(now)) now = controller.next_send(now);
    controller.sent(AttemptKind::First);
    controller.ended(now, now + latency, outcome_of(200));
    now += latency;
  }
  return now;
}

TEST(Judge, TellsOverloadFromOtherFailures) {
  EXPECT_EQ(outcome_of(204).verdict, Verdict::Ok);
  for (int status : {400, 401, 404, 408, 413, 422}) {
    EXPECT_EQ(outcome_of(status).verdict, Verdict::Rejected) << status;
  }
  for (int status : {429, 503, 504}) {
    EXPECT_EQ(outcome_of(status).verdict, Verdict::Refused) << status;
  }
  for (int status : {500, 502, 524}) {
    EXPECT_EQ(outcome_of(status).verdict, Verdict::Failed) << status;
  }
  EXPECT_EQ(judge(Error::deadline("late"), kNow).verdict, Verdict::Refused);
  EXPECT_EQ(judge(Error::unavailable("reset"), kNow).verdict, Verdict::Failed);
  const Error refused{ErrorCode::Unavailable, "refused", Cause::Unreachable};
  EXPECT_EQ(judge(refused, kNow).verdict, Verdict::Refused);
  EXPECT_EQ(judge(reply_of(503, "7"), kNow).retry_after, std::optional<Duration>(7s));
}

TEST(Judge, ADateIsRetryAfterToo) {
  const auto wait = [](const HttpReply& reply) { return judge(reply, kNow).retry_after; };
  EXPECT_EQ(wait(reply_of(503, "Sun, 06 Nov 1994 08:49:57 GMT")), std::optional<Duration>(20s));
  EXPECT_EQ(wait(reply_of(503, "Sun, 06 Nov 1994 08:00:00 GMT")), std::optional<Duration>(1s));
  HttpReply fast_clock = reply_of(503, "Sun, 06 Nov 1994 09:49:57 GMT");
  fast_clock.headers.add("Date", "Sun, 06 Nov 1994 09:49:47 GMT");
  EXPECT_EQ(wait(fast_clock), std::optional<Duration>(10s)) << "by the server's own clock";
}

TEST(LatencyWindow, QuantilesForgetOldSamples) {
  LatencyWindow window;
  EXPECT_EQ(window.quantile(0.5), 0s);
  for (int i = 1; i <= 20; ++i) window.record(i * 1ms);
  EXPECT_EQ(window.quantile(0.5), 10ms);
  EXPECT_EQ(window.quantile(0.95), 19ms);
  for (int i = 0; i < 256 + 16; ++i) window.record(500ms);
  EXPECT_EQ(window.quantile(0), 500ms);
}

TEST(ConcurrencyLimit, GrowsByAboutOnePerRoundTrip) {
  ConcurrencyLimit limit(8, 12);
  for (int i = 0; i < 9; ++i) limit.succeeded(true);
  EXPECT_EQ(limit.value(), 9u);
  for (int i = 0; i < 1000; ++i) limit.succeeded(true);
  EXPECT_EQ(limit.value(), 12u);
}

TEST(ConcurrencyLimit, IdleClientLearnsNothing) {
  ConcurrencyLimit limit(8, 100);
  for (int i = 0; i < 1000; ++i) limit.succeeded(false);
  EXPECT_EQ(limit.value(), 8u);
}

TEST(ConcurrencyLimit, RefusalsOfOneRoundTripCutOnce) {
  ConcurrencyLimit limit(100, 100);
  for (int i = 0; i < 50; ++i) limit.refused(kStart, kStart + i * 1ms, 100ms);
  EXPECT_EQ(limit.value(), 70u);
  // Sent before the cut, refused long after it: old news.
  limit.refused(kStart - 1ms, kStart + 10s, 100ms);
  EXPECT_EQ(limit.value(), 70u);
  limit.refused(kStart + 150ms, kStart + 151ms, 100ms);
  EXPECT_EQ(limit.value(), 49u);
}

TEST(ConcurrencyLimit, RefusedAttemptsKeepTheirPlaceForALatency) {
  ConcurrencyLimit limit(10, 10);
  limit.refused(kStart, kStart, 100ms);
  limit.refused(kStart, kStart + 10ms, 100ms);
  EXPECT_EQ(limit.held(kStart + 50ms), 2u);
  EXPECT_EQ(limit.next_release(kStart + 50ms), kStart + 100ms);
  EXPECT_EQ(limit.held(kStart + 105ms), 1u);
  EXPECT_EQ(limit.held(kStart + 110ms), 0u);
  EXPECT_EQ(limit.next_release(kStart + 110ms), TimePoint::max());
}

TEST(TrafficController, AtOneItPausesLongerAndLongerUntilAnAnswer) {
  SeededRandom random(1);
  TrafficController controller({.concurrency = 1}, random);
  TimePoint now = kStart;
  std::vector<Duration> pauses;
  for (int i = 0; i < 9; ++i) {
    controller.sent(AttemptKind::First);
    controller.ended(now, now + 1ms, outcome_of(503));
    now += 1ms;
    EXPECT_FALSE(controller.may_send(now));
    pauses.push_back(controller.next_send(now) - now);
    // Past the pause and the place that the refused attempt keeps.
    now = std::max(controller.next_send(now), now + 101ms);
    EXPECT_TRUE(controller.may_send(now));
  }
  for (size_t i = 0; i < pauses.size(); ++i) {
    const Duration full = std::min<Duration>(100ms * (1 << i), 5s);
    EXPECT_LE(pauses[i], full) << i;
    EXPECT_GE(pauses[i], full / 2) << i;
  }
  controller.sent(AttemptKind::First);
  controller.ended(now, now + 1ms, outcome_of(200));
  EXPECT_TRUE(controller.may_send(now + 1ms));
}

TEST(TrafficController, RetryAfterStopsAllSendsAndIsBounded) {
  SeededRandom random(1);
  for (const auto& [said, least, most] : std::vector<std::tuple<std::string, Duration, Duration>>{
           {"3", 3s, 3750ms}, {"3600", 30s, 37500ms}}) {
    TrafficController controller({}, random);
    controller.sent(AttemptKind::First);
    controller.ended(kStart, kStart, judge(reply_of(429, said), kNow));
    const Duration pause = controller.next_send(kStart) - kStart;
    EXPECT_GE(pause, least);
    EXPECT_LE(pause, most);
    EXPECT_FALSE(controller.may_send(kStart + least - 1ns));
    EXPECT_TRUE(controller.may_send(kStart + most));
    EXPECT_EQ(controller.counts().refusals_429, 1u);
    // Whoever cannot wait so long hears it now, even with nothing under way.
    EXPECT_TRUE(controller.refuse_early(kStart, kStart + least - 1ms, 0).has_value());
    EXPECT_FALSE(controller.refuse_early(kStart, kStart + most, 0).has_value());
  }
}

TEST(TrafficController, OneFullInstanceOfManyDelaysOnlyTheRequestItRefused) {
  SeededRandom random(1);
  TrafficController controller({}, random);
  for (int i = 0; i < 4; ++i) controller.sent(AttemptKind::First);
  const Outcome refused = judge(reply_of(429, "3"), kNow);
  controller.ended(kStart, kStart, refused);
  EXPECT_LT(controller.next_send(kStart), kStart + 3s) << "the others may have room";
  const auto retry = controller.plan_retry(kStart, kStart + 1min, 1, refused);
  ASSERT_TRUE(retry);
  EXPECT_GE(*retry, 3s);
  for (int i = 0; i < 3; ++i) controller.ended(kStart, kStart, refused);
  EXPECT_GE(controller.next_send(kStart), kStart + 3s) << "nobody has";
}

TEST(TrafficController, RetriesEndWithAttemptsDeadlineAndRejection) {
  SeededRandom random(1);
  TrafficController controller({}, random);
  const TimePoint later = kStart + 1min;
  EXPECT_TRUE(controller.plan_retry(kStart, later, 1, outcome_of(502)).has_value());
  EXPECT_TRUE(controller.plan_retry(kStart, later, 2, outcome_of(429)).has_value());
  EXPECT_FALSE(controller.plan_retry(kStart, later, 3, outcome_of(502)).has_value());
  EXPECT_FALSE(controller.plan_retry(kStart, kStart, 1, outcome_of(502)).has_value());
  EXPECT_FALSE(controller.plan_retry(kStart, later, 1, outcome_of(404)).has_value());
  EXPECT_FALSE(controller.plan_retry(kStart, later, 1, outcome_of(200)).has_value());
}

TEST(TrafficController, BackoffHasFullJitter) {
  SeededRandom random(7);
  TrafficController controller({.attempts_max = 100, .retry_burst = 1e9}, random);
  Duration least = 1h;
  Duration most = 0s;
  for (int i = 0; i < 1000; ++i) {
    const Duration wait = *controller.plan_retry(kStart, kStart + 1h, 3, outcome_of(500));
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_LT(least, 10ms);
  EXPECT_GT(most, 390ms);
  EXPECT_LE(most, 400ms);
}

TEST(TrafficController, FullLineAndHopelessWaitsAreRefusedAtOnce) {
  SeededRandom random(1);
  TrafficController controller({.concurrency = 1, .concurrency_max = 1, .waiting_max = 50}, random);
  TimePoint now = teach(controller, kStart, 32, 100ms);
  EXPECT_FALSE(controller.refuse_early(now, now + 10s, 0).has_value());
  EXPECT_EQ(controller.refuse_early(now, now + 1h, 50)->cause, Cause::RefusedEarly);
  // 20 in line at 100 ms each are 2 s, taken double: nothing for somebody who has 3 s.
  EXPECT_FALSE(controller.refuse_early(now, now + 5s, 20).has_value());
  EXPECT_TRUE(controller.refuse_early(now, now + 3s, 20).has_value());
  EXPECT_EQ(controller.counts().refused_early, 2u);
}

TEST(TrafficController, AnEstimateIsAlwaysPutToTheTest) {
  SeededRandom random(1);
  TrafficController controller({}, random);
  const TimePoint now = teach(controller, kStart, 32, 10s);
  // Answers took 10 s; with nothing under way somebody with 1 s may still try.
  EXPECT_FALSE(controller.refuse_early(now, now + 1s, 0).has_value());
  EXPECT_FALSE(controller.too_late(now, now + 1s));
  controller.sent(AttemptKind::First);
  EXPECT_TRUE(controller.refuse_early(now, now + 1s, 0).has_value());
  EXPECT_TRUE(controller.too_late(now, now + 1s));
}

TEST(TrafficController, HedgesWaitForTheQuantileAndPayFromTheBudget) {
  SeededRandom random(1);
  TrafficController off({}, random);
  teach(off, kStart, 100, 50ms);
  EXPECT_FALSE(off.hedge_delay().has_value());

  TrafficController controller({.retry_burst = 2, .hedge_quantile = 0.95}, random);
  TimePoint now = teach(controller, kStart, 19, 50ms);
  EXPECT_FALSE(controller.hedge_delay().has_value()) << "too few samples";
  now = teach(controller, now, 1, 80ms);
  EXPECT_EQ(controller.hedge_delay(), std::optional<Duration>(50ms));
  EXPECT_FALSE(controller.take_hedge(now, now + 1s, 3)) << "no attempts left";
  EXPECT_FALSE(controller.take_hedge(now, now, 1)) << "no time left";
  EXPECT_TRUE(controller.take_hedge(now, now + 1s, 1));
  EXPECT_TRUE(controller.take_hedge(now, now + 1s, 1));
  EXPECT_FALSE(controller.take_hedge(now, now + 1s, 1)) << "no budget left";
}

// Goal: whatever the server answers, the bounds hold. Method: a thousand random lives of a
// controller, each with settings, answers and latencies of its own; attempts end in any order.
TEST(TrafficController, BoundsHoldWhateverTheServerDoes) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    SeededRandom random(seed);
    TrafficSettings settings;
    settings.concurrency_max = 1 + random.below(30);
    settings.concurrency = 1 + random.below(40);
    settings.attempts_max = 1 + static_cast<int>(random.below(6));
    settings.retry_ratio = random.unit() * 0.5;
    settings.retry_burst = static_cast<double>(random.below(12));
    const double failing = random.unit();
    TrafficController controller(settings, random);
    std::vector<TimePoint> flying;
    size_t retries_due = 0;
    TimePoint now = kStart;
    TimePoint no_send_before = now;
    size_t refused_in_a_row = 0;
    for (int step = 0; step < 400; ++step) {
      now += Duration(static_cast<int64_t>(random.below(20'000'000)));
      if (controller.may_send(now)) {
        EXPECT_GE(now, no_send_before) << "seed " << seed;
        const bool retry = retries_due > 0;
        retries_due -= retry ? 1 : 0;
        controller.sent(retry ? AttemptKind::Retry : AttemptKind::First);
        flying.push_back(now);
      }
      ASSERT_LE(controller.in_flight(), settings.concurrency_max) << "seed " << seed;
      ASSERT_GE(controller.limit(), 1u);
      ASSERT_LE(controller.limit(), settings.concurrency_max) << "seed " << seed;
      if (flying.empty() || random.chance(0.4)) continue;
      const size_t which = random.below(flying.size());
      const int status =
          random.chance(failing) ? std::array{429, 503, 500, 502, 404}[random.below(5)] : 200;
      const bool says_when = status == 429 && random.chance(0.2);
      const Outcome outcome = judge(reply_of(status, says_when ? "1" : ""), kNow);
      const bool refused = outcome.verdict == Verdict::Refused;
      const bool answered = outcome.verdict == Verdict::Ok || outcome.verdict == Verdict::Rejected;
      refused_in_a_row = refused ? refused_in_a_row + 1 : answered ? 0 : refused_in_a_row;
      controller.ended(flying[which], now, outcome);
      flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(which));
      if (says_when && refused_in_a_row > flying.size()) {
        no_send_before = std::max(no_send_before, now + 1s);
      }
      const auto retry_wait = controller.plan_retry(now, now + 1min, 1, outcome);
      if (says_when && retry_wait) EXPECT_GE(*retry_wait, 1s) << "seed " << seed;
      retries_due += retry_wait ? 1 : 0;
    }
    const TrafficCounts& counts = controller.counts();
    const double bound =
        static_cast<double>(counts.first) * (1 + settings.retry_ratio) + settings.retry_burst;
    EXPECT_LE(static_cast<double>(counts.attempts()), bound + 1e-6) << "seed " << seed;
  }
}

}  // namespace
}  // namespace mesclun::client
