#include "companion/health_judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace mesclun::companion {

namespace {

constexpr int kBuckets = 20;  // of the error window
constexpr size_t kFailedInputs = 256;
// After a hang, if nobody acted on it.
constexpr Duration kNextTrial = 30s;

}  // namespace

std::string_view to_string(Health health) {
  switch (health) {
    case Health::Starting:
      return "starting";
    case Health::Ready:
      return "ready";
    case Health::Busy:
      return "busy";
    case Health::Failed:
      return "failed";
    case Health::Stopping:
      return "stopping";
  }
  return "?";
}

void HealthJudge::started(TimePoint now) {
  started_ = true;
  replied(now);
}

void HealthJudge::check_passed() {
  failures_ = 0;
}

void HealthJudge::check_failed(const std::string& why, bool at_work) {
  if (at_work) return;
  ++failures_;
  last_failure_ = why;
}

void HealthJudge::replied(TimePoint now) {
  silence_ = {};
  silence_counted_ = now;
}

void HealthJudge::unanswered(TimePoint began, TimePoint now) {
  silence_ += std::max<Duration>(Duration{}, now - std::max(began, silence_counted_));
  silence_counted_ = std::max(silence_counted_, now);
}

void HealthJudge::answered(TimePoint now, bool error, uint64_t input) {
  if (!error) {
    failures_ = 0;
    replied(now);
  } else if (input != 0 && has_failed_before(input, now)) {
    return;
  }
  const Duration length = config_.error_window / kBuckets;
  if (buckets_.empty() || now >= buckets_.back().from + length) {
    buckets_.push_back({.from = now});
    if (buckets_.size() > kBuckets) buckets_.pop_front();
  }
  Bucket& bucket = buckets_.back();
  ++bucket.answers;
  if (!error) return;
  ++bucket.errors;
  if (input != 0 && bucket.failed_inputs.size() < kFailedInputs) bucket.failed_inputs.insert(input);
}

bool HealthJudge::has_failed_before(uint64_t input, TimePoint now) const {
  return std::ranges::any_of(buckets_, [&](const Bucket& bucket) {
    return bucket.from > now - config_.error_window && bucket.failed_inputs.contains(input);
  });
}

std::string HealthJudge::error_rate_problem(TimePoint now) const {
  uint64_t answers = 0;
  uint64_t errors = 0;
  for (const Bucket& bucket : buckets_) {
    if (bucket.from <= now - config_.error_window) continue;
    answers += bucket.answers;
    errors += bucket.errors;
  }
  if (answers < static_cast<uint64_t>(config_.error_requests_min)) return {};
  if (static_cast<double>(errors) <= config_.error_rate_max * static_cast<double>(answers))
    return {};
  return fmt::format("{} of {} answers in {} were errors, {:.0f} % are allowed", errors, answers,
                     format_duration(config_.error_window), 100 * config_.error_rate_max);
}

std::string HealthJudge::hang_problem(TimePoint now, const WorkFacts& work) const {
  Duration silence = silence_;
  if (work.oldest_dispatch) {
    const TimePoint from = std::max(*work.oldest_dispatch, silence_counted_);
    silence += std::max<Duration>(Duration{}, now - from);
  } else if (now - silence_counted_ >= config_.failed_grace + kNextTrial) {
    // Refused all that time, it has had no chance to answer: the next request is one.
    return {};
  }
  if (silence < config_.hang_after) return {};
  return fmt::format("requests have been with the application for {:.0f} s and nothing came back",
                     to_seconds(silence));
}

HealthVerdict HealthJudge::verdict(TimePoint now, const WorkFacts& work) const {
  if (stopping_) return {Health::Stopping, "told to stop"};
  if (!dead_.empty()) return {Health::Failed, dead_};
  if (!started_) return {Health::Starting, preparing_};
  if (failures_ >= config_.check_failures) {
    return {Health::Failed, fmt::format("{} health checks in a row failed, the last: {}", failures_,
                                        last_failure_)};
  }
  if (std::string problem = hang_problem(now, work); !problem.empty()) {
    return {Health::Failed, std::move(problem)};
  }
  if (std::string problem = error_rate_problem(now); !problem.empty()) {
    return {Health::Failed, std::move(problem)};
  }
  if (work.queue_full) return {Health::Busy, "the queue is full"};
  return {Health::Ready, ""};
}

}  // namespace mesclun::companion
