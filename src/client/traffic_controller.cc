#include "client/traffic_controller.h"

#include <fmt/format.h>

#include "base/back_off.h"
#include "base/units.h"
#include "client/api_client.h"

namespace mesclun::client {

namespace {

// Before that many answers a quantile is a guess, and a guess would send everything twice.
constexpr size_t kHedgeSamples = 20;
// "In time" is judged by a latency that most answers keep.
constexpr double kLateQuantile = 0.95;
// The line moves at the pace of a limit that one refusal cuts to 0.7: what was estimated then takes
// 1.4 times as long, and a second cut makes it twice.
constexpr double kEstimateMargin = 2.0;

Duration scaled(Duration duration, double factor) {
  return Duration(static_cast<int64_t>(static_cast<double>(duration.count()) * factor));
}

Error early(std::string message) {
  return {ErrorCode::ResourceExhausted, std::move(message), Cause::RefusedEarly};
}

}  // namespace

Outcome judge(const Result<HttpReply>& reply, WallTime now) {
  if (!reply) {
    const bool overload =
        reply.error().cause == Cause::Unreachable || reply.code() == ErrorCode::DeadlineExceeded;
    // An answer over our own bound would be as large the next time.
    if (reply.code() == ErrorCode::OutOfRange) return {Verdict::Rejected};
    return {.verdict = overload ? Verdict::Refused : Verdict::Failed};
  }
  Outcome outcome{.status = reply->status};
  const int status = reply->status;
  if (status < 400) {
    outcome.verdict = Verdict::Ok;
  } else if (status == 429 || status == 503 || status == 504) {
    outcome.verdict = Verdict::Refused;
    if (reply->headers.has("Retry-After")) outcome.retry_after = retry_after(reply->headers, now);
  } else {
    outcome.verdict = status < 500 ? Verdict::Rejected : Verdict::Failed;
  }
  return outcome;
}

TrafficController::TrafficController(TrafficSettings settings, Random& random)
    : settings_(settings),
      random_(random),
      limit_(static_cast<double>(settings.concurrency),
             static_cast<double>(settings.concurrency_max)),
      budget_(settings.retry_ratio, settings.retry_burst) {}

std::optional<Error> TrafficController::refuse_early(TimePoint now, TimePoint deadline,
                                                     size_t waiting) {
  if (waiting >= settings_.waiting_max) {
    ++counts_.refused_early;
    return early(fmt::format("{} requests wait already", waiting));
  }
  const Duration paused = paused_until_ > now ? paused_until_ - now : Duration(0);
  // Little's law: a line moves `limit` places per latency.
  const double rounds = static_cast<double>(waiting) / static_cast<double>(limit());
  const Duration wait = paused + scaled(typical_latency(), kEstimateMargin * rounds);
  const bool estimated = in_flight_ + waiting > 0;
  const Duration answer = estimated ? latencies_.quantile(kLateQuantile) : Duration(0);
  if (now + wait + answer <= deadline) return std::nullopt;
  ++counts_.refused_early;
  return early(
      fmt::format("an answer would take about {}, longer than there is time",
                  format_duration(std::chrono::ceil<std::chrono::milliseconds>(wait + answer))));
}

bool TrafficController::too_late(TimePoint now, TimePoint deadline) const {
  return in_flight_ > 0 && now + latencies_.quantile(kLateQuantile) > deadline;
}

TimePoint TrafficController::next_send(TimePoint now) const {
  if (now < paused_until_) return paused_until_;
  if (in_flight_ + limit_.held(now) < limit()) return now;
  return limit_.next_release(now);
}

void TrafficController::sent(AttemptKind kind) {
  ++in_flight_;
  counts_.in_flight_peak = std::max(counts_.in_flight_peak, in_flight_);
  switch (kind) {
    case AttemptKind::First:
      ++counts_.first;
      budget_.earn();
      break;
    case AttemptKind::Retry:
      ++counts_.retries;
      break;
    case AttemptKind::Hedge:
      ++counts_.hedges;
      break;
  }
}

void TrafficController::ended(TimePoint sent_at, TimePoint now, const Outcome& outcome) {
  const bool busy = 2 * in_flight_ >= limit();
  --in_flight_;
  switch (outcome.verdict) {
    case Verdict::Ok:
      latencies_.record(now - sent_at);
      [[fallthrough]];
    case Verdict::Rejected:
      refusals_in_a_row_ = 0;
      unbroken_refusals_ = 0;
      limit_.succeeded(busy);
      break;
    case Verdict::Refused:
      refused(sent_at, now, outcome);
      break;
    case Verdict::Failed:
      // Says something about one instance, nothing about how much the others can take.
      break;
  }
}

void TrafficController::abandoned() {
  --in_flight_;
}

void TrafficController::refused(TimePoint sent_at, TimePoint now, const Outcome& outcome) {
  if (outcome.status == 429) ++counts_.refusals_429;
  // One at a time is still too much: from here on it is pauses that grow.
  if (limit_.refused(sent_at, now, typical_latency())) {
    pause(now + scaled(backoff(refusals_in_a_row_++), 0.5 + random_.unit() / 2));
  }
  // Behind a gateway a refusal speaks for one instance of many: it stops everything only when
  // nobody has room, which is when as many in a row were refused as are under way.
  ++unbroken_refusals_;
  if (outcome.retry_after && unbroken_refusals_ > in_flight_) pause(now + told_wait(outcome));
}

// Upwards only: everybody was told the same second.
Duration TrafficController::told_wait(const Outcome& outcome) {
  if (!outcome.retry_after) return {};
  return scaled(std::min(*outcome.retry_after, settings_.retry_after_max), 1 + random_.unit() / 4);
}

// Before the first answer the first back-off stands for the latency. A long one must not stop us
// for longer than the longest back-off.
Duration TrafficController::typical_latency() const {
  if (latencies_.count() == 0) return settings_.backoff_first;
  return std::min(latencies_.quantile(0.5), settings_.backoff_max);
}

Duration TrafficController::backoff(int step) const {
  return back_off_step(settings_.backoff_first, settings_.backoff_max, step);
}

std::optional<Duration> TrafficController::plan_retry(TimePoint now, TimePoint deadline,
                                                      int attempts, const Outcome& outcome) {
  const bool retryable = outcome.verdict == Verdict::Refused || outcome.verdict == Verdict::Failed;
  if (!retryable || attempts >= settings_.attempts_max) return std::nullopt;
  const Duration wait = std::max(scaled(backoff(attempts - 1), random_.unit()), told_wait(outcome));
  if (std::max(now + wait, paused_until_) >= deadline) return std::nullopt;
  if (!budget_.spend()) {
    ++counts_.over_budget;
    return std::nullopt;
  }
  return wait;
}

std::optional<Duration> TrafficController::hedge_delay() const {
  if (settings_.hedge_quantile <= 0 || latencies_.count() < kHedgeSamples) return std::nullopt;
  return latencies_.quantile(settings_.hedge_quantile);
}

bool TrafficController::take_hedge(TimePoint now, TimePoint deadline, int attempts) {
  return attempts < settings_.attempts_max && now < deadline && may_send(now) && budget_.spend();
}

}  // namespace mesclun::client
