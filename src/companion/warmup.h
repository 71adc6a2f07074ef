// The part of the initial checks that needs the running application: some requests, timed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "companion/initial_checks.h"

namespace mesclun::companion {

// Performs one request with the application: the work that it was, if that can be told.
// DeadlineExceeded means that it took longer than warmup.timeout.
using WarmupRequest = std::function<Task<Result<std::optional<double>>>()>;

struct WarmupSample {
  Duration time{};
  std::optional<double> work;
};

struct WarmupRun {
  std::vector<WarmupSample> samples;
  std::optional<Error> failure;  // of the request after the last sample; none were made after it
};

// Makes config.requests requests, one after the other. Cancelled is the only error.
Task<Result<WarmupRun>> run_warmup(WarmupConfig config, WarmupRequest request, Clock& clock);

// The first request is left out. One that took longer than its timeout is a miss; any other
// failure, or too few samples, is unknown and so a warning. Never asks for a retry: an application
// is warm only once.
CheckVerdict judge_warmup(const WarmupRun& run, const ChecksConfig& config,
                          CheckSituation situation);
// Mean time and rate, as judged; for metrics.
std::vector<CheckItem> warmup_items(const WarmupRun& run, const WarmupConfig& config);

}  // namespace mesclun::companion
