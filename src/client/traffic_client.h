// Requests to a service that may be full, slow or partly gone: with a limit that adapts, retries
// that a budget bounds, early refusal and hedging. The small library behind `mesclun load`.
//
//   RealRandom random;
//   HttpTransport transport(clock, endpoint);
//   TrafficClient client(executor, clock, random, transport, {});
//   TrafficRequest request{.call = {.method = "POST", .target = "/predict", .body = "{}"}};
//   CO_TRY(const TrafficAnswer answer, co_await client.request(std::move(request)));
#pragma once

#include <list>

#include "base/notify.h"
#include "client/traffic_controller.h"

namespace mesclun::client {

// Carries one attempt. `call` may be repeated, so the service must allow it.
class Transport {
 public:
  virtual ~Transport() = default;
  // Ends by itself at the deadline, with DeadlineExceeded. Errors: Unreachable as the cause when
  // nothing can have been sent.
  virtual Task<Result<HttpReply>> send(HttpCall call, TimePoint deadline) = 0;
};

struct TrafficRequest {
  HttpCall call;
  // From request() to the answer: waiting, attempts and pauses.
  Duration timeout = 30s;
  // For callers that bring the next request whenever there is room (a closed loop): it is never
  // refused early, may wait for its turn until then, and only its turn starts the timeout.
  std::optional<TimePoint> start_by = {};
};

struct TrafficAnswer {
  Verdict verdict = Verdict::Failed;
  HttpReply reply;      // of the last attempt that was answered; status 0: none was
  std::string error;    // for people; empty if the verdict is Ok
  std::string failure;  // one word to count by: "503", "timeout", "connect", "broken",
                        // "refused_early", "stopped"; empty if the verdict is Ok
  int attempts = 0;
  bool hedged = false;
  bool hedge_won = false;
  TimePoint started;
  Duration latency{0};

  bool ok() const { return verdict == Verdict::Ok; }
};

// Every attempt carries `X-Request-Timeout-Ms`, the time that is left: a server need not begin what
// nobody waits for.
//
// Runs on:  one loop. Order: first come, first served; a retry goes first, as it came earlier.
// Errors:   Cancelled only; everything else is an answer.
// Lifetime: clock, random and transport outlive this object, and it outlives its requests.
class TrafficClient {
 public:
  TrafficClient(const asio::any_io_executor& executor, Clock& clock, Random& random,
                Transport& transport, TrafficSettings settings)
      : executor_(executor), clock_(clock), transport_(transport), controller_(settings, random) {}

  Task<Result<TrafficAnswer>> request(TrafficRequest request);
  // Nothing more is sent: who waits is refused with "stopped"; what is under way goes on.
  void stop();

  const TrafficController& controller() const { return controller_; }
  size_t waiting() const { return line_.size(); }

 private:
  struct Turn {
    Turn(const asio::any_io_executor& executor, AttemptKind of, TimePoint until)
        : woken(executor), kind(of), deadline(until) {}
    Notify woken;
    AttemptKind kind;
    TimePoint deadline;
    bool patient = false;
    enum class State { Waiting, Granted, TooLate } state = State::Waiting;
  };
  // One request under way; lives in the frame of request().
  struct Exchange {
    HttpCall call;
    TimePoint deadline;
    TrafficAnswer answer;
  };
  struct Duel;

  Task<Result<>> take_turn(AttemptKind kind, TimePoint deadline, bool patient);
  void pump();
  Task<Result<HttpReply>> attempt(Exchange& exchange);
  Task<Result<HttpReply>> attempt_hedged(Exchange& exchange, Duration delay);
  Task<void> first_copy(Duel& duel);
  Task<void> second_copy(Duel& duel, Duration delay);
  Task<void> attempt_in_duel(Duel& duel, size_t copy);
  // Takes the outcome of all attempts so far.
  void conclude(Exchange& exchange, Result<HttpReply> reply, const Outcome& outcome);
  TrafficAnswer finish(Exchange& exchange);

  const asio::any_io_executor executor_;
  Clock& clock_;
  Transport& transport_;
  TrafficController controller_;
  std::list<Turn*> line_;
  Notify stopped_changed_{executor_};
  bool stopped_ = false;
};

}  // namespace mesclun::client
