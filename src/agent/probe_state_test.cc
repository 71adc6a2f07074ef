#include "agent/probe_state.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace mesclun::agent {
namespace {

using api::ProbeKind;

api::Probe make_probe(int32_t delay, int32_t period, int32_t timeout, int32_t success,
                      int32_t failure) {
  api::Probe probe{.initial_delay_seconds = delay,
                   .period_seconds = period,
                   .timeout_seconds = timeout,
                   .success_threshold = success,
                   .failure_threshold = failure};
  probe.exec = api::ProbeExec{{"check"}};
  return probe;
}

const TimePoint kStart{1h};

TEST(ProbeState, CountsOnlyConsecutiveResults) {
  ProbeState state(make_probe(0, 1, 1, 2, 3));
  using enum ProbeState::Value;
  EXPECT_EQ(state.record(true, kStart, kStart), Unknown);
  EXPECT_EQ(state.record(false, kStart, kStart), Unknown);
  EXPECT_EQ(state.record(true, kStart, kStart), Unknown);
  EXPECT_EQ(state.record(true, kStart, kStart), Success);
  EXPECT_EQ(state.record(false, kStart, kStart), Success);
  EXPECT_EQ(state.record(false, kStart, kStart), Success);
  EXPECT_EQ(state.record(false, kStart, kStart), Failure);
  EXPECT_EQ(state.record(true, kStart, kStart), Failure);
  EXPECT_EQ(state.record(true, kStart, kStart), Success);
}

TEST(ProbeState, IsDueAfterTheDelayAndThenEveryPeriod) {
  ProbeState state(make_probe(7, 10, 30, 1, 1));
  state.begin(kStart);
  EXPECT_EQ(state.due(), kStart + 7s);
  state.record(true, kStart + 7s, kStart + 8s);
  EXPECT_EQ(state.due(), kStart + 17s);
  // One that took longer than the period is followed at once.
  state.record(true, kStart + 17s, kStart + 40s);
  EXPECT_EQ(state.due(), kStart + 40s);
}

api::GroupSpec spec_with(bool startup, bool liveness, bool readiness) {
  api::GroupSpec spec;
  if (startup) spec.startup_probe = make_probe(3, 1, 1, 2, 2);
  if (liveness) spec.liveness_probe = make_probe(5, 1, 1, 1, 2);
  if (readiness) spec.readiness_probe = make_probe(0, 1, 1, 1, 1);
  return spec;
}

TEST(RunHealth, WithoutProbesItIsStartedAndReadyAtOnce) {
  RunHealth health(spec_with(false, false, false));
  EXPECT_FALSE(health.ready());
  health.begin(kStart);
  EXPECT_TRUE(health.started());
  EXPECT_TRUE(health.ready());
}

TEST(RunHealth, ReadyEqualsStartedWithoutReadinessProbe) {
  RunHealth health(spec_with(true, false, false));
  health.begin(kStart);
  EXPECT_FALSE(health.started());
  EXPECT_FALSE(health.ready());
  health.record(ProbeKind::Startup, true, kStart, kStart);
  const auto change = health.record(ProbeKind::Startup, true, kStart, kStart);
  EXPECT_TRUE(change.startup_passed);
  EXPECT_TRUE(health.started());
  EXPECT_TRUE(health.ready());
}

TEST(RunHealth, OtherProbesCountTheirDelayFromStartupSuccess) {
  RunHealth health(spec_with(true, true, true));
  health.begin(kStart);
  EXPECT_EQ(health.find(ProbeKind::Startup)->due(), kStart + 3s);
  health.record(ProbeKind::Startup, true, kStart + 3s, kStart + 3s);
  health.record(ProbeKind::Startup, true, kStart + 4s, kStart + 4s);
  EXPECT_EQ(health.find(ProbeKind::Liveness)->due(), kStart + 9s);
  EXPECT_EQ(health.find(ProbeKind::Readiness)->due(), kStart + 4s);
  EXPECT_FALSE(health.ready());
}

TEST(RunHealth, ReadinessMayFlapAndOnlyLivenessAndStartupFail) {
  RunHealth health(spec_with(false, true, true));
  health.begin(kStart);
  EXPECT_TRUE(health.record(ProbeKind::Readiness, true, kStart, kStart).became_ready);
  const auto lost = health.record(ProbeKind::Readiness, false, kStart, kStart);
  EXPECT_TRUE(lost.became_unready);
  EXPECT_FALSE(lost.failed);
  EXPECT_TRUE(health.record(ProbeKind::Readiness, true, kStart, kStart).became_ready);
  EXPECT_FALSE(health.record(ProbeKind::Liveness, false, kStart, kStart).failed);
  EXPECT_TRUE(health.record(ProbeKind::Liveness, false, kStart, kStart).failed);
}

TEST(RunHealth, AReadinessThatNeverWasIsToldOnce) {
  RunHealth health(spec_with(false, false, true));
  health.begin(kStart);
  const auto fail = [&](TimePoint at) {
    return health.record(ProbeKind::Readiness, false, at, at);
  };
  EXPECT_FALSE(fail(kStart).was_never_ready) << "it may still come";
  const TimePoint later = kStart + kNeverReadyAfter;
  const auto told = fail(later);
  EXPECT_TRUE(told.was_never_ready);
  EXPECT_FALSE(told.became_unready);
  EXPECT_FALSE(fail(later + 1s).was_never_ready);
  EXPECT_TRUE(health.record(ProbeKind::Readiness, true, later, later).became_ready);
  EXPECT_FALSE(fail(later + 20s).was_never_ready);
}

TEST(RunHealth, AnAdoptedRunKeepsWhatWasSeen) {
  RunHealth health(spec_with(true, true, true));
  health.resume(true, true, kStart);
  EXPECT_TRUE(health.started());
  EXPECT_TRUE(health.ready());
  EXPECT_EQ(health.find(ProbeKind::Readiness)->due(), kStart);
  RunHealth early(spec_with(true, true, true));
  early.resume(false, false, kStart);
  EXPECT_FALSE(early.started());
}

// ---- properties, over random probes and results ----

constexpr uint64_t kSeeds = 200;

Duration random_milliseconds(Random& random, int64_t max) {
  return std::chrono::milliseconds(random.below(static_cast<uint64_t>(max) + 1));
}

int32_t one_to(Random& random, uint64_t max) {
  return static_cast<int32_t>(1 + random.below(max));
}

api::Probe random_probe(Random& random) {
  return make_probe(static_cast<int32_t>(random.below(20)), one_to(random, 10), one_to(random, 10),
                    one_to(random, 4), one_to(random, 4));
}

// The contract's words: so many successes in a row make Success, so many failures Failure, and else
// it stays what it was.
ProbeState::Value by_definition(const api::Probe& probe, const std::vector<bool>& results) {
  using enum ProbeState::Value;
  for (size_t end = results.size(); end > 0; --end) {
    const auto last = [&](int32_t count, bool passed) {
      const auto n = static_cast<size_t>(count);
      if (end < n) return false;
      for (size_t i = end - n; i < end; ++i) {
        if (results[i] != passed) return false;
      }
      return true;
    };
    if (last(*probe.success_threshold, true)) return Success;
    if (last(*probe.failure_threshold, false)) return Failure;
  }
  return Unknown;
}

TEST(ProbeStateProperties, TheValueFollowsFromTheResultsInARow) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SeededRandom random(seed);
    const api::Probe probe = random_probe(random);
    const double passes = random.unit();
    ProbeState state(probe);
    std::vector<bool> results;
    for (int i = 0; i < 60; ++i) {
      results.push_back(random.chance(passes));
      ASSERT_EQ(state.record(results.back(), kStart, kStart), by_definition(probe, results))
          << "seed " << seed << ", result " << i;
    }
  }
}

TEST(ProbeStateProperties, RunsNeitherOverlapNorComeEarly) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SeededRandom random(seed);
    const api::Probe probe = random_probe(random);
    const Duration period = std::chrono::seconds(*probe.period_seconds);
    ProbeState state(probe);
    state.begin(kStart);
    ASSERT_EQ(state.due(), kStart + std::chrono::seconds(*probe.initial_delay_seconds));
    for (int i = 0; i < 60; ++i) {
      const TimePoint begun = state.due();
      const TimePoint ended = begun + random_milliseconds(random, 2 * period / 1ms);
      state.record(random.chance(0.5), begun, ended);
      ASSERT_EQ(state.due(), std::max(begun + period, ended)) << "seed " << seed;
    }
  }
}

// One run of an application, whose probes are carried out as they come due.
class RandomRun {
 public:
  explicit RandomRun(uint64_t seed) : random_(seed), health_(spec_of(random_)) {
    health_.begin(kStart);
    started_ = health_.started() ? std::optional(kStart) : std::nullopt;
  }

  // Until a probe ends the run, or so many have been carried out. What holds is expected on the way.
  void go(int probes_max, double startup_passes) {
    for (int i = 0; i < probes_max && !failed_; ++i) {
      const std::optional<ProbeKind> kind = next();
      if (!kind) return;
      probe(*kind, *kind == ProbeKind::Startup ? startup_passes : 0.7);
    }
  }

  bool failed() const { return failed_; }
  TimePoint now() const { return now_; }
  const RunHealth& health() const { return health_; }

 private:
  static api::GroupSpec spec_of(Random& random) {
    api::GroupSpec spec;
    if (random.chance(0.7)) spec.startup_probe = random_probe(random);
    if (random.chance(0.7)) spec.liveness_probe = random_probe(random);
    if (random.chance(0.7)) spec.readiness_probe = random_probe(random);
    return spec;
  }

  // Startup until it has passed, then the two others.
  std::optional<ProbeKind> next() const {
    std::optional<ProbeKind> first;
    for (ProbeKind kind : {ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness}) {
      if (health_.find(kind) == nullptr) continue;
      if ((kind == ProbeKind::Startup) == health_.started()) continue;
      if (!first || health_.find(kind)->due() < health_.find(*first)->due()) first = kind;
    }
    return first;
  }

  void probe(ProbeKind kind, double passes) {
    const ProbeState before = *health_.find(kind);
    const bool was_ready = health_.ready();
    const bool was_started = health_.started();
    const TimePoint begun = std::max(now_, before.due());
    if (kind != ProbeKind::Startup) {
      EXPECT_TRUE(was_started) << "the startup probe has not passed";
      const Duration delay = std::chrono::seconds(*before.probe().initial_delay_seconds);
      EXPECT_GE(begun, *started_ + delay) << "the delay counts from the startup probe's success";
    }
    now_ = begun + random_milliseconds(random_, before.timeout() / 1ms);
    const bool passed = random_.chance(passes);
    const RunHealth::Change change = health_.record(kind, passed, begun, now_);

    if (change.startup_passed) started_ = now_;
    EXPECT_EQ(change.startup_passed, !was_started && health_.started());
    EXPECT_TRUE(health_.started() || !was_started) << "it began once and for all";
    const bool failure = health_.find(kind)->value() == ProbeState::Value::Failure;
    EXPECT_EQ(change.failed, kind != ProbeKind::Readiness && failure &&
                                 before.value() != ProbeState::Value::Failure);
    const bool by_probe = kind == ProbeKind::Readiness;
    EXPECT_EQ(change.became_ready, by_probe && !was_ready && health_.ready());
    EXPECT_EQ(change.became_unready, by_probe && was_ready && !health_.ready());
    EXPECT_TRUE(by_probe || change.startup_passed || health_.ready() == was_ready);
    if (change.was_never_ready) {
      EXPECT_FALSE(told_or_ready_) << "said once, and of what was never ready";
      EXPECT_GE(now_, *started_ + kNeverReadyAfter);
    }
    told_or_ready_ = told_or_ready_ || change.was_never_ready ||
                     (by_probe && health_.find(kind)->value() == ProbeState::Value::Success);
    failed_ = change.failed;
  }

  SeededRandom random_;
  RunHealth health_;
  TimePoint now_ = kStart;
  std::optional<TimePoint> started_;
  bool failed_ = false;
  bool told_or_ready_ = false;
};

TEST(RunHealthProperties, HoldForAnyProbesAndResults) {
  int ended = 0;
  int served = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomRun run(seed);
    run.go(100, 0.7);
    ended += run.failed() ? 1 : 0;
    served += run.health().ready() ? 1 : 0;
  }
  EXPECT_GT(ended, 10);
  EXPECT_GT(served, 10);
}

// The longest start that users are shown (lifecycle.md §4).
TEST(RunHealthProperties, AStartThatNeverPassesEndsByDelayAndThresholdTimesPeriodAndTimeout) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    RandomRun run(seed);
    const ProbeState* startup = run.health().find(ProbeKind::Startup);
    if (startup == nullptr) continue;
    const api::Probe probe = startup->probe();
    run.go(100, 0);
    ASSERT_TRUE(run.failed()) << "seed " << seed;
    const int64_t seconds =
        *probe.initial_delay_seconds +
        int64_t{*probe.failure_threshold} * (*probe.period_seconds + *probe.timeout_seconds);
    EXPECT_LE(run.now(), kStart + std::chrono::seconds(seconds)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace mesclun::agent
