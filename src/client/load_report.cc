#include "client/load_report.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "base/crypto.h"
#include "base/text.h"
#include "base/units.h"
#include "client/output.h"

namespace mesclun::client {

namespace {

constexpr uint64_t kSteps = 128;  // per power of two
constexpr size_t kFailuresMax = 50;

size_t bucket_of(uint64_t micros) {
  if (micros < 2 * kSteps) return micros;
  // The leading eight bits say the step; the rest is below the precision.
  const auto shift = static_cast<uint64_t>(std::bit_width(micros)) - 8;
  return shift * kSteps + (micros >> shift);
}

uint64_t bucket_end(size_t bucket) {
  if (bucket < 2 * kSteps) return bucket;
  const uint64_t shift = bucket / kSteps - 1;
  return ((bucket - shift * kSteps + 1) << shift) - 1;
}

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

double per_second(uint64_t count, Duration elapsed) {
  return elapsed <= 0s ? 0 : static_cast<double>(count) / to_seconds(elapsed);
}

// Three digits are enough for people: "812 ms", "1.24 s".
std::string latency_text(Duration latency) {
  const double millis = to_seconds(latency) * 1000;
  if (millis < 10) return fmt::format("{:.2f} ms", millis);
  if (millis < 1000) return fmt::format("{:.0f} ms", millis);
  return fmt::format("{:.2f} s", millis / 1000);
}

std::string bar(double done) {
  constexpr int kWidth = 24;
  const int full = static_cast<int>(std::clamp(done, 0.0, 1.0) * kWidth);
  std::string text = "[";
  for (int i = 0; i < kWidth; ++i) text += i < full ? '#' : '.';
  return text + "] ";
}

}  // namespace

void LatencyHistogram::record(Duration latency) {
  const Duration positive = std::max<Duration>(latency, 0s);
  const auto micros =
      static_cast<uint64_t>(std::chrono::floor<std::chrono::microseconds>(positive).count());
  const size_t bucket = bucket_of(micros);
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  ++buckets_[bucket];
  ++count_;
  max_ = std::max(max_, positive);
}

Duration LatencyHistogram::quantile(double q) const {
  const auto rank = static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank && seen > 0) {
      return std::min<Duration>(std::chrono::microseconds(bucket_end(i)), max_);
    }
  }
  return max_;
}

void LoadSummary::add(const LoadOutcome& outcome) {
  const TrafficAnswer& answer = outcome.answer;
  ++requests_;
  hedges_won_ += answer.hedge_won ? 1 : 0;
  if (answer.ok()) {
    ++ok_;
    latencies_.record(answer.latency);
  } else {
    // A server that answers ever new reasons must not fill our memory.
    const bool room = failures_.size() < kFailuresMax || failures_.contains(answer.failure);
    ++failures_[room ? answer.failure : "other"];
  }
}

std::string LoadSummary::table(const TrafficController& controller, Duration elapsed) const {
  const TrafficCounts& counts = controller.counts();
  std::string failures;
  for (const auto& [word, count] : failures_) {
    failures += fmt::format("{}{} × {}", failures.empty() ? " (" : ", ", count, word);
  }
  if (!failures.empty()) failures += ")";
  std::string retries =
      fmt::format("{} ({:.3f} per request)", counts.retries, share(counts.retries, counts.first));
  if (counts.over_budget > 0) {
    retries += fmt::format(", {} more were over the budget", counts.over_budget);
  }
  std::string hedges =
      counts.hedges == 0 ? "0" : fmt::format("{}, {} of them first", counts.hedges, hedges_won_);
  std::string latency = "none";
  if (latencies_.count() > 0) {
    latency = fmt::format("p50 {}, p90 {}, p99 {}, max {}", latency_text(latencies_.quantile(0.5)),
                          latency_text(latencies_.quantile(0.9)),
                          latency_text(latencies_.quantile(0.99)), latency_text(latencies_.max()));
  }
  return render_fields({
      {"requests", fmt::format("{} in {:.1f} s", requests_, to_seconds(elapsed))},
      {"ok", fmt::format("{} ({:.1f} %)", ok_, 100 * share(ok_, requests_))},
      {"failed", fmt::format("{}{}", failed(), failures)},
      {"refused (429)", fmt::format("{} answers", counts.refusals_429)},
      {"refused early", fmt::format("{}, never sent", counts.refused_early)},
      {"retries", retries},
      {"hedges", hedges},
      {"goodput", fmt::format("{:.1f} ok a second", per_second(ok_, elapsed))},
      {"latency (ok)", latency},
      {"concurrency",
       fmt::format("{} at most, limit {} at the end", counts.in_flight_peak, controller.limit())},
  });
}

std::string LoadSummary::progress(const TrafficController& controller, const LoadPlan& plan,
                                  Duration elapsed) const {
  const bool counted = plan.requests > 0;
  const double done =
      counted ? share(requests_, plan.requests) : to_seconds(elapsed) / to_seconds(plan.duration);
  const std::string of = counted ? fmt::format("{} of {}", requests_, plan.requests)
                                 : fmt::format("{} in {:.0f} of {:.0f} s", requests_,
                                               to_seconds(elapsed), to_seconds(plan.duration));
  return bar(done) + fmt::format("{}, {:.1f} ok a second, {} at once (limit {}), {} failed", of,
                                 per_second(ok_, elapsed), controller.in_flight(),
                                 controller.limit(), failed());
}

std::string outcome_line(const LoadOutcome& outcome, const LineOptions& options) {
  const TrafficAnswer& answer = outcome.answer;
  const auto quoted = [](std::string_view text) { return json::serialize(json::string(text)); };
  // By hand: the library writes 116.042 as 1.16042E2.
  std::string line = fmt::format(
      R"({{"index":{},"status":{},"attempts":{},"hedged":{},"latency_ms":{:.3f},"error":{},)"
      R"("body_bytes":{})",
      outcome.index, answer.reply.status, answer.attempts, answer.hedged,
      to_seconds(answer.latency) * 1000, answer.ok() ? "null" : quoted(printable(answer.error)),
      answer.reply.body.size());
  if (!options.label_header.empty()) {
    if (const auto label = answer.reply.headers.find(options.label_header)) {
      line += R"(,"node":)" + quoted(printable(*label));
    }
  }
  if (options.keep_bodies) {
    const std::string& body = answer.reply.body;
    line +=
        is_utf8(body) ? R"(,"body":)" + quoted(body) : R"(,"body_base64":)" + quoted(base64(body));
  }
  return line + "}\n";
}

}  // namespace mesclun::client
