#include "gateway/outcome.h"

#include <algorithm>
#include <array>

#include "base/integer.h"

namespace mesclun::gateway {

namespace {

// Of the companion (its header X-Mesclun-App): the application has not seen the request.
constexpr std::array<std::string_view, 6> kUntouched = {"queue_full",          "buffer_full",
                                                        "would_miss_deadline", "displaced",
                                                        "not_ready",           "connections_full"};

Duration retry_after_of(const ResponseHead& head) {
  const auto text = head.headers.find("Retry-After");
  // A date is of no use: the clocks differ.
  const auto seconds = text ? parse_integer<uint32_t>(*text) : std::nullopt;
  return std::chrono::seconds(seconds ? std::min<uint32_t>(*seconds, 3600) : 0);
}

}  // namespace

Outcome outcome_of(const ResponseHead& head) {
  Outcome outcome{.kind = Outcome::Kind::Served};
  if (const auto report = head.headers.find(kLoadReportHeader)) {
    outcome.load = parse_load_report(*report);
  }
  const auto companion = head.headers.find("X-Mesclun-App");
  outcome.untouched = companion && std::ranges::find(kUntouched, *companion) != kUntouched.end();
  if (outcome.untouched || head.status == 429 ||
      (head.status == 503 && head.headers.has("Retry-After"))) {
    outcome.kind = Outcome::Kind::Busy;
    outcome.retry_after = retry_after_of(head);
  } else if (head.status == 500 || (head.status >= 502 && head.status <= 504)) {
    outcome.kind = Outcome::Kind::Failed;
  }
  return outcome;
}

Outcome outcome_of(const Refusal& refusal) {
  using enum Outcome::Kind;
  if (refusal.status == 502 || refusal.status == 524) return {.kind = Failed};
  // Of the gateway's own 504 only these are about an instance.
  const bool silent = refusal.reason == "connect_timeout" || refusal.reason == "send_timeout";
  if (refusal.status == 504 && silent) return {.kind = Failed};
  if (refusal.reason == "streams_exhausted") return {.kind = Busy};
  return {};
}

}  // namespace mesclun::gateway
