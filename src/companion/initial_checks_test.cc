// The judgement of the initial checks and of the warm-up, on literal measurements.
#include "companion/initial_checks.h"

#include <gmock/gmock.h>

#include "base/test_loop.h"
#include "companion/warmup.h"

namespace mesclun::companion {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr uint64_t kGib = 1024ull * 1024 * 1024;

CheckItem item_of(std::optional<double> measured, double required = 10) {
  return {.key = "bucket_upload",
          .name = "upload to bucket b",
          .required = required,
          .measured = measured,
          .unknown_why = "the server answered 503"};
}

CheckSituation after(int attempts, std::optional<int> nodes_left = std::nullopt) {
  return {.attempts_done = attempts, .nodes_left = nodes_left};
}

TEST(JudgeChecks, SentencesNameWhatIsAndWhatMustBe) {
  EXPECT_EQ(item_of(3.21).sentence(), "upload to bucket b: 3.2 Mbps, 10 Mbps required");
  EXPECT_EQ(item_of(3.21, 0).sentence(), "upload to bucket b: 3.2 Mbps");
  EXPECT_EQ(item_of(std::nullopt).sentence(),
            "upload to bucket b: unknown, the server answered 503");
  CheckItem item = item_of(static_cast<double>(7 * kGib), static_cast<double>(8 * kGib));
  item.unit = CheckUnit::Bytes;
  EXPECT_EQ(item.sentence(), "upload to bucket b: 7 GiB, 8 GiB required");
  item = item_of(cuda_as_number(12, 8), cuda_as_number(12, 10));
  item.unit = CheckUnit::CudaVersion;
  EXPECT_TRUE(item.missed());
  EXPECT_EQ(item.sentence(), "upload to bucket b: 12.8, 12.10 required");
  item = item_of(301, 300);
  item.unit = CheckUnit::Milliseconds;
  item.at_least = false;
  EXPECT_TRUE(item.missed());
  EXPECT_EQ(item.sentence(), "upload to bucket b: 301 ms, 300 ms allowed");
}

TEST(JudgeChecks, UnknownIsAWarningAndNotAMiss) {
  const CheckVerdict verdict =
      judge_checks({item_of(std::nullopt), item_of(10)}, ChecksConfig(), after(1));
  EXPECT_EQ(verdict.step, CheckStep::Serve);
  EXPECT_THAT(verdict.misses, IsEmpty());
  EXPECT_THAT(verdict.warnings, SizeIs(1));
}

TEST(JudgeChecks, AMissIsTriedAgainAndThenMovesTheInstance) {
  ChecksConfig config;
  const std::vector<CheckItem> items{item_of(3), item_of(50)};
  EXPECT_EQ(judge_checks(items, config, after(1)).step, CheckStep::Retry);
  EXPECT_EQ(judge_checks(items, config, after(2)).step, CheckStep::Retry);
  const CheckVerdict verdict = judge_checks(items, config, after(3));
  EXPECT_EQ(verdict.step, CheckStep::Reallocate);
  EXPECT_EQ(verdict.reason, "checks missed: upload to bucket b: 3 Mbps, 10 Mbps required");
  config.on_miss = Action::Exit;
  EXPECT_EQ(judge_checks(items, config, after(3)).step, CheckStep::Exit);
  config.on_miss = Action::Report;
  EXPECT_EQ(judge_checks(items, config, after(3)).step, CheckStep::Warn);
}

TEST(JudgeChecks, WithFewNodesLeftAMissIsOnlyAWarning) {
  const std::vector<CheckItem> items{item_of(3)};
  const CheckVerdict verdict = judge_checks(items, ChecksConfig(), after(3, 2));
  EXPECT_EQ(verdict.step, CheckStep::Warn);
  EXPECT_THAT(verdict.warnings, ElementsAre(HasSubstr("only 2 other nodes")));
  EXPECT_EQ(judge_checks(items, ChecksConfig(), after(3, 3)).step, CheckStep::Reallocate);
}

TEST(JudgeChecks, OutsideThePlatformNothingIsReallocated) {
  CheckSituation situation = after(3);
  situation.is_local = true;
  EXPECT_EQ(judge_checks({item_of(3)}, ChecksConfig(), situation).step, CheckStep::Exit);
}

TEST(JudgeChecks, TheBestReadingCounts) {
  CheckItem item = item_of(std::nullopt);
  item.improve(4, "");
  item.improve(std::nullopt, "timed out");
  item.improve(3, "");
  EXPECT_EQ(item.measured, 4);
  item.at_least = false;
  item.improve(3, "");
  EXPECT_EQ(item.measured, 3);
}

WarmupRun warmup_of(std::vector<double> seconds, std::optional<double> work) {
  WarmupRun run;
  for (const double s : seconds) {
    run.samples.push_back(
        {.time = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s)),
         .work = work});
  }
  return run;
}

TEST(JudgeWarmup, TheFirstRequestIsLeftOut) {
  ChecksConfig config;
  config.warmup = {.requests = 3, .time_max = 2s, .rate_min = 40};
  EXPECT_EQ(judge_warmup(warmup_of({60, 1, 2}, 100), config, after(0)).step, CheckStep::Serve);
  const CheckVerdict slow = judge_warmup(warmup_of({1, 3, 4}, 100), config, after(0));
  EXPECT_EQ(slow.step, CheckStep::Reallocate);
  EXPECT_THAT(slow.misses,
              ElementsAre("mean time of a warm-up request: 3.5 s, 2 s allowed",
                          "work rate of the warm-up: 28.6 work/s, 40 work/s required"));
}

TEST(JudgeWarmup, UnknownWorkAndFailuresAreWarningsATimeoutIsAMiss) {
  ChecksConfig config;
  config.warmup = {.requests = 3, .timeout = 5min, .rate_min = 40};
  CheckVerdict verdict = judge_warmup(warmup_of({1, 1, 1}, std::nullopt), config, after(0));
  EXPECT_EQ(verdict.step, CheckStep::Serve);
  EXPECT_THAT(verdict.warnings, ElementsAre(HasSubstr("did not tell its work")));

  WarmupRun run = warmup_of({1}, 1);
  run.failure = Error::unavailable("the application answered 500");
  verdict = judge_warmup(run, config, after(0));
  EXPECT_EQ(verdict.step, CheckStep::Serve);
  EXPECT_THAT(verdict.warnings[0], HasSubstr("request 2 of the warm-up failed"));

  run.failure = Error::deadline("no answer");
  verdict = judge_warmup(run, config, after(0));
  EXPECT_EQ(verdict.step, CheckStep::Reallocate);
  EXPECT_THAT(verdict.misses, ElementsAre("time of one warm-up request: no end, 300 s allowed"));

  config.warmup.requests = 0;
  EXPECT_NE(judge_warmup(WarmupRun(), config, after(0)).skipped, "");
}

TEST(Warmup, MeasuresEachRequestAndStopsAtAFailure) {
  VirtualLoop loop;
  struct Application {
    Clock& clock;
    int requests = 0;
    Task<Result<std::optional<double>>> answer() {
      if (++requests == 4) co_return Error::unavailable("502");
      CO_TRY_DO(co_await clock.sleep_for(requests * 1s));
      co_return std::optional<double>(7);
    }
  } application{loop.clock};
  WarmupRun run;
  const auto body = [](Application& app, Clock& clock, WarmupRun& out) -> Task<Result<>> {
    WarmupConfig config{.requests = 9};
    WarmupRequest request = [&app] { return app.answer(); };
    CO_TRY(out, co_await run_warmup(std::move(config), std::move(request), clock));
    co_return Result<>();
  };
  loop.run(body(application, loop.clock, run));
  ASSERT_EQ(run.samples.size(), 3u);
  EXPECT_EQ(run.samples[2].time, 3s);
  EXPECT_TRUE(run.failure);
  EXPECT_EQ(application.requests, 4);
}

}  // namespace
}  // namespace mesclun::companion
