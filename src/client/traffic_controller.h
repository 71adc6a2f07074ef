// When to send, when to send again, and when to refuse at once: the decisions of a client that does
// not make an overloaded server worse. No I/O: the TrafficClient carries them out, and the
// simulator does under virtual time.
#pragma once

#include <optional>

#include "base/random.h"
#include "client/concurrency_limit.h"
#include "client/latency_window.h"
#include "client/retry_budget.h"
#include "http/client.h"
#include "http/forward.h"

namespace mesclun::client {

struct TrafficSettings {
  size_t concurrency = 8;  // at the start
  size_t concurrency_max = 64;
  int attempts_max = 3;      // of one request, hedges included
  double retry_ratio = 0.1;  // retries and hedges per first attempt, in the long run
  double retry_burst = 10;   // and so many at once
  // The first wait is up to the first value, and doubles up to the second: full jitter.
  Duration backoff_first = 100ms;
  Duration backoff_max = 5s;
  Duration retry_after_max = 30s;
  size_t waiting_max = 1000;  // requests that wait for their turn; the next one is refused
  double hedge_quantile = 0;  // 0: no hedging
  // Whether to send a request again, whatever came of it, whose method may do harm twice.
  bool retry_unsafe = false;
};

// What an attempt says about the server.
enum class Verdict {
  Ok,        // answered, below 400
  Rejected,  // another 4xx: the request itself is at fault, so no retry
  Refused,   // 429, 503, 504, no connection, no answer in time: less load would help
  Failed,    // another 5xx, a broken connection: another instance may do better
};

struct Outcome {
  Verdict verdict = Verdict::Ok;
  int status = 0;                            // 0: no answer
  std::optional<Duration> retry_after = {};  // as the server said
};

// `now`: for a Retry-After that is a date, where the server does not tell its own time.
Outcome judge(const Result<HttpReply>& reply, WallTime now);

enum class AttemptKind { First, Retry, Hedge };

struct TrafficCounts {
  uint64_t first = 0;
  uint64_t retries = 0;
  uint64_t hedges = 0;
  uint64_t refusals_429 = 0;
  uint64_t refused_early = 0;  // never sent
  uint64_t over_budget = 0;    // retries that the budget did not allow
  size_t in_flight_peak = 0;

  uint64_t attempts() const { return first + retries + hedges; }
};

// Runs on:  one loop. Time: handed in, steady.
// Promise:  in flight <= limit <= concurrency_max; attempts <= first × (1 + retry_ratio) +
//           retry_burst; a refused request is not sent again before the server's Retry-After (up
//           to retry_after_max), and nothing is when as many were refused in a row as are in
//           flight.
// Lifetime: random outlives this object.
class TrafficController {
 public:
  TrafficController(TrafficSettings settings, Random& random);

  // Why a request that comes now should not even wait: the line is full, or its deadline would pass
  // in it. Cause: RefusedEarly.
  std::optional<Error> refuse_early(TimePoint now, TimePoint deadline, size_t waiting);
  // The same at the end of the wait: an answer in time is unlikely, and an answer too late would
  // cost the server as much as one in time. Always false with nothing in flight: estimates are only
  // put right by sending.
  bool too_late(TimePoint now, TimePoint deadline) const;

  bool may_send(TimePoint now) const { return next_send(now) <= now; }
  // When to ask again; max(): when an attempt ends.
  TimePoint next_send(TimePoint now) const;
  // Takes a place. First and Retry: after may_send(). Hedge: after take_hedge().
  void sent(AttemptKind kind);
  // Gives the place back. `abandoned` is for attempts that were cancelled: they say nothing.
  void ended(TimePoint sent_at, TimePoint now, const Outcome& outcome);
  void abandoned();

  // How long to wait before the next attempt, of which the budget has paid; nothing if there should
  // be none. `attempts` were made.
  std::optional<Duration> plan_retry(TimePoint now, TimePoint deadline, int attempts,
                                     const Outcome& outcome);
  // Whether a request may be sent more than once, as a retry or a hedge. That it was refused is no
  // exception: who refused it may not be who worked on it.
  bool may_repeat(std::string_view method) const {
    return settings_.retry_unsafe || is_idempotent(method);
  }
  // How long after the first copy a second may be sent; nothing while it is not known what is slow.
  std::optional<Duration> hedge_delay() const;
  bool take_hedge(TimePoint now, TimePoint deadline, int attempts);

  size_t limit() const { return limit_.value(); }
  size_t limit_peak() const { return limit_.peak(); }
  size_t in_flight() const { return in_flight_; }
  const TrafficCounts& counts() const { return counts_; }

 private:
  Duration typical_latency() const;
  void pause(TimePoint until) { paused_until_ = std::max(paused_until_, until); }
  void refused(TimePoint sent_at, TimePoint now, const Outcome& outcome);
  Duration backoff(int step) const;
  Duration told_wait(const Outcome& outcome);

  const TrafficSettings settings_;
  Random& random_;
  ConcurrencyLimit limit_;
  RetryBudget budget_;
  LatencyWindow latencies_;
  TrafficCounts counts_;
  size_t in_flight_ = 0;
  TimePoint paused_until_ = TimePoint::min();
  int refusals_in_a_row_ = 0;     // while the limit was one
  size_t unbroken_refusals_ = 0;  // since the last answer
};

}  // namespace mesclun::client
