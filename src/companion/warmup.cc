#include "companion/warmup.h"

#include <limits>

namespace mesclun::companion {

namespace {

std::string why_unknown(const WarmupRun& run) {
  if (run.failure) {
    return fmt::format("request {} of the warm-up failed: {}", run.samples.size() + 1,
                       run.failure->message);
  }
  return "it takes two requests at least, for the first is left out";
}

}  // namespace

Task<Result<WarmupRun>> run_warmup(WarmupConfig config, WarmupRequest request, Clock& clock) {
  WarmupRun run;
  for (int i = 0; i < config.requests; ++i) {
    const TimePoint start = clock.now();
    const Result<std::optional<double>> work = co_await request();
    if (!work) {
      if (work.code() == ErrorCode::Cancelled) co_return work.error();
      run.failure = work.error();
      break;
    }
    run.samples.push_back({.time = clock.now() - start, .work = *work});
  }
  co_return run;
}

std::vector<CheckItem> warmup_items(const WarmupRun& run, const WarmupConfig& config) {
  CheckItem time{.key = "warmup_time",
                 .name = "mean time of a warm-up request",
                 .unit = CheckUnit::Seconds,
                 .at_least = false,
                 .required = to_seconds(config.time_max),
                 .unknown_why = why_unknown(run)};
  CheckItem rate{.key = "warmup_rate",
                 .name = "work rate of the warm-up",
                 .unit = CheckUnit::WorkPerSecond,
                 .required = config.rate_min,
                 .unknown_why = why_unknown(run)};
  if (run.failure && run.failure->code == ErrorCode::DeadlineExceeded) {
    // Longer than its timeout is all that is known, and enough.
    time.name = "time of one warm-up request";
    time.required = to_seconds(config.timeout);
    time.measured = std::numeric_limits<double>::infinity();
    return {time};
  }
  if (run.failure || run.samples.size() < 2) return {time, rate};
  double seconds = 0;
  std::optional<double> work = 0;
  for (size_t i = 1; i < run.samples.size(); ++i) {
    seconds += to_seconds(run.samples[i].time);
    work = work && run.samples[i].work ? std::optional(*work + *run.samples[i].work) : std::nullopt;
  }
  time.measured = seconds / static_cast<double>(run.samples.size() - 1);
  if (work && seconds > 0) {
    rate.measured = *work / seconds;
  } else {
    rate.unknown_why = "an answer did not tell its work (monitor.work)";
  }
  return {time, rate};
}

CheckVerdict judge_warmup(const WarmupRun& run, const ChecksConfig& config,
                          CheckSituation situation) {
  situation.retry_allowed = false;
  std::vector<CheckItem> items = warmup_items(run, config.warmup);
  // An unknown that nothing is required of is no news, unless a request failed.
  std::erase_if(items, [&](const CheckItem& item) {
    return item.unknown() && item.required <= 0 && !run.failure;
  });
  CheckVerdict verdict = judge_checks(items, config, situation);
  if (config.warmup.requests == 0) verdict = CheckVerdict{.skipped = "no warm-up is configured"};
  return verdict;
}

}  // namespace mesclun::companion
