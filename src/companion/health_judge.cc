#include "companion/health_judge.h"

#include <fmt/format.h>

#include "base/units.h"

namespace mesclun::companion {

namespace {

constexpr int kBuckets = 20;  // of the error window

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
  last_answer_ = now;
}

void HealthJudge::check_passed() {
  failures_ = 0;
}

void HealthJudge::check_failed(const std::string& why, bool at_work) {
  if (at_work) return;
  ++failures_;
  last_failure_ = why;
}

void HealthJudge::answered(TimePoint now, bool error) {
  if (!error) {
    failures_ = 0;
    last_answer_ = now;
  }
  const Duration length = config_.error_window / kBuckets;
  if (buckets_.empty() || now >= buckets_.back().from + length) {
    buckets_.push_back({.from = now});
    if (buckets_.size() > kBuckets) buckets_.pop_front();
  }
  ++buckets_.back().answers;
  if (error) ++buckets_.back().errors;
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

HealthVerdict HealthJudge::verdict(TimePoint now, const WorkFacts& work) const {
  if (stopping_) return {Health::Stopping, "told to stop"};
  if (!dead_.empty()) return {Health::Failed, dead_};
  if (!started_) return {Health::Starting, preparing_};
  if (failures_ >= config_.check_failures) {
    return {Health::Failed, fmt::format("{} health checks in a row failed, the last: {}", failures_,
                                        last_failure_)};
  }
  if (work.oldest_dispatch && now - *work.oldest_dispatch >= config_.hang_after &&
      now - last_answer_ >= config_.hang_after) {
    return {
        Health::Failed,
        fmt::format("a request has been with the application for {:.0f} s and nothing came back",
                    to_seconds(now - *work.oldest_dispatch))};
  }
  if (std::string problem = error_rate_problem(now); !problem.empty()) {
    return {Health::Failed, std::move(problem)};
  }
  if (work.queue_full) return {Health::Busy, "the queue is full"};
  return {Health::Ready, ""};
}

}  // namespace mesclun::companion
