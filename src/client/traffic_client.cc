#include "client/traffic_client.h"

#include <fmt/format.h>

#include "base/race.h"

namespace mesclun::client {

namespace {

bool ends_request(const Result<HttpReply>& reply) {
  const Verdict verdict = judge(reply, {}).verdict;
  return verdict == Verdict::Ok || verdict == Verdict::Rejected;
}

std::string failure_word(const Error& error) {
  if (error.cause == Cause::Unreachable) return "connect";
  if (error.code == ErrorCode::DeadlineExceeded) return "timeout";
  if (error.code == ErrorCode::Unavailable) return "broken";
  return std::string(error.problem_type());
}

std::string status_text(const HttpReply& reply) {
  std::string text = fmt::format("the server answered {}", reply.status);
  if (const auto reason = http_reason(reply.status); !reason.empty()) {
    text += " " + std::string(reason);
  }
  if (const auto why = reply.headers.find("X-Gateway-Error")) {
    text += fmt::format(" (gateway: {})", *why);
  } else if (const auto code = reply.headers.find("X-Mesclun-App")) {
    text += fmt::format(" (mesclun-app: {})", *code);
  }
  return text;
}

// "503 no_ready_instance": what the gateway or the companion says of its own answers, in a word.
std::string failure_word(int status, const HttpReply& reply) {
  std::string word = std::to_string(status);
  for (const char* name : {"X-Gateway-Error", "X-Mesclun-App"}) {
    const std::string_view why = reply.headers.find(name).value_or("");
    const bool plain = std::ranges::all_of(
        why, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
    if (!why.empty() && why.size() <= 32 && plain) return word + " " + std::string(why);
  }
  return word;
}

void set_error(TrafficAnswer& answer, const Error& error) {
  answer.error = error.message;
  answer.failure = failure_word(error);
}

}  // namespace

// Two copies of one request; lives in the frame of attempt_hedged().
struct TrafficClient::Duel {
  Exchange& exchange;
  Notify changed;
  std::optional<Result<HttpReply>> results[2];
  bool flying[2] = {false, false};
};

Task<Result<TrafficAnswer>> TrafficClient::request(TrafficRequest request) {
  Exchange x{.call = std::move(request.call)};
  const bool patient = request.start_by.has_value();
  x.answer.started = clock_.now();
  x.deadline = x.answer.started + request.timeout;
  if (!patient) {
    if (const auto refusal = controller_.refuse_early(x.answer.started, x.deadline, line_.size())) {
      set_error(x.answer, *refusal);
      x.answer.verdict = Verdict::Refused;
      co_return finish(x);
    }
  }
  AttemptKind kind = AttemptKind::First;
  while (true) {
    const bool first_of_patient = patient && kind == AttemptKind::First;
    const Result<> turn = co_await take_turn(
        kind, first_of_patient ? *request.start_by : x.deadline, first_of_patient);
    if (!turn) {
      if (turn.code() == ErrorCode::Cancelled) co_return Error::cancelled();
      // The reason of the attempt before says more than that there was no time for another.
      if (x.answer.attempts == 0) set_error(x.answer, turn.error());
      co_return finish(x);
    }
    if (first_of_patient) {
      x.answer.started = clock_.now();
      x.deadline = x.answer.started + request.timeout;
    }
    const std::optional<Duration> hedge =
        controller_.may_repeat(x.call.method) ? controller_.hedge_delay() : std::nullopt;
    Result<HttpReply> reply = hedge ? co_await attempt_hedged(x, *hedge) : co_await attempt(x);
    if (!reply && reply.code() == ErrorCode::Cancelled) co_return Error::cancelled();
    const Outcome outcome = judge(reply, clock_.wall_now());
    conclude(x, std::move(reply), outcome);
    if (stopped_ || !controller_.may_repeat(x.call.method)) co_return finish(x);
    const auto pause = controller_.plan_retry(clock_.now(), x.deadline, x.answer.attempts, outcome);
    if (!pause) co_return finish(x);
    CO_TRY_DO(co_await stopped_changed_.wait_until(clock_, clock_.now() + *pause));
    if (stopped_) co_return finish(x);
    kind = AttemptKind::Retry;
  }
}

void TrafficClient::stop() {
  stopped_ = true;
  stopped_changed_.notify_all();
  for (Turn* turn : line_) turn->woken.notify_all();
}

void TrafficClient::conclude(Exchange& x, Result<HttpReply> reply, const Outcome& outcome) {
  x.answer.verdict = outcome.verdict;
  if (!reply) {
    set_error(x.answer, reply.error());
    return;
  }
  x.answer.reply = std::move(*reply);
  const bool ok = outcome.verdict == Verdict::Ok;
  x.answer.error = ok ? "" : status_text(x.answer.reply);
  x.answer.failure = ok ? "" : failure_word(outcome.status, x.answer.reply);
}

TrafficAnswer TrafficClient::finish(Exchange& x) {
  x.answer.latency = clock_.now() - x.answer.started;
  return std::move(x.answer);
}

// Waits in line. Granted: a place is taken, and attempt() gives it back.
Task<Result<>> TrafficClient::take_turn(AttemptKind kind, TimePoint deadline, bool patient) {
  Turn turn(executor_, kind, deadline);
  turn.patient = patient;
  line_.insert(kind == AttemptKind::First ? line_.end() : line_.begin(), &turn);
  struct Leave {
    TrafficClient& client;
    Turn& turn;
    ~Leave() {
      if (turn.state != Turn::State::Waiting) return;
      const bool was_head = client.line_.front() == &turn;
      client.line_.remove(&turn);
      if (was_head && !client.line_.empty()) client.line_.front()->woken.notify_all();
    }
  } const leave{*this, turn};
  if (!stopped_) pump();
  while (turn.state == Turn::State::Waiting) {
    if (stopped_) co_return Error{ErrorCode::FailedPrecondition, "stopped", Cause::Stopped};
    const TimePoint now = clock_.now();
    if (now >= deadline) co_return Error::deadline("no turn in time");
    // The head alone watches for the next chance; the others would only wake to find it taken.
    const bool is_head = line_.front() == &turn;
    const TimePoint wake = is_head ? std::min(deadline, controller_.next_send(now)) : deadline;
    const Result<> woken = co_await turn.woken.wait_until(clock_, wake);
    if (turn.state != Turn::State::Waiting) break;
    if (!woken) co_return woken.error();
    if (!stopped_) pump();
  }
  if (turn.state == Turn::State::TooLate) co_return Error::deadline("no time left for an answer");
  co_return Result<>();
}

// Hands out the places that there are.
void TrafficClient::pump() {
  const TimePoint now = clock_.now();
  bool moved = false;
  while (!line_.empty() && controller_.may_send(now)) {
    Turn& head = *line_.front();
    line_.pop_front();
    moved = true;
    const bool late =
        head.patient ? now >= head.deadline : controller_.too_late(now, head.deadline);
    if (late) {
      head.state = Turn::State::TooLate;
    } else {
      head.state = Turn::State::Granted;
      controller_.sent(head.kind);
    }
    head.woken.notify_all();
  }
  if (moved && !line_.empty()) line_.front()->woken.notify_all();
}

Task<Result<HttpReply>> TrafficClient::attempt(Exchange& x) {
  const TimePoint sent_at = clock_.now();
  ++x.answer.attempts;
  HttpCall call = x.call;
  const int64_t left = std::max<int64_t>(to_millis(x.deadline - sent_at), 1);
  call.headers.set("X-Request-Timeout-Ms", std::to_string(left));
  Result<HttpReply> reply = co_await transport_.send(std::move(call), x.deadline);
  if (!reply && reply.code() == ErrorCode::Cancelled) {
    controller_.abandoned();
  } else {
    controller_.ended(sent_at, clock_.now(), judge(reply, clock_.wall_now()));
  }
  if (!stopped_) pump();
  // A pause of the server changes when the head may go.
  if (!line_.empty()) line_.front()->woken.notify_all();
  co_return reply;
}

Task<Result<HttpReply>> TrafficClient::attempt_hedged(Exchange& x, Duration delay) {
  Duel duel{.exchange = x, .changed = Notify(executor_)};
  co_await race(first_copy(duel), second_copy(duel, delay));
  std::optional<Result<HttpReply>>& first = duel.results[0];
  std::optional<Result<HttpReply>>& second = duel.results[1];
  if (first && (ends_request(*first) || !second)) co_return std::move(*first);
  if (second) {
    x.answer.hedge_won = ends_request(*second);
    // A loser that was cancelled is no answer; one that failed by itself came first.
    const bool first_failed = first && first->code() != ErrorCode::Cancelled;
    co_return x.answer.hedge_won || !first_failed ? std::move(*second) : std::move(*first);
  }
  co_return Error::cancelled();
}

Task<void> TrafficClient::attempt_in_duel(Duel& duel, size_t copy) {
  duel.flying[copy] = true;
  duel.results[copy] = co_await attempt(duel.exchange);
  duel.flying[copy] = false;
  duel.changed.notify_all();
  // The end of this task cancels the other copy: only an answer that ends the request may do that.
  while (!ends_request(*duel.results[copy]) && duel.flying[1 - copy]) {
    const Result<> woken = co_await duel.changed.wait();
    if (!woken) co_return;
  }
}

Task<void> TrafficClient::first_copy(Duel& duel) {
  co_await attempt_in_duel(duel, 0);
}

Task<void> TrafficClient::second_copy(Duel& duel, Duration delay) {
  const Result<> slept = co_await clock_.sleep_for(delay);
  if (!slept) co_return;
  const Exchange& x = duel.exchange;
  if (!stopped_ && controller_.take_hedge(clock_.now(), x.deadline, x.answer.attempts)) {
    controller_.sent(AttemptKind::Hedge);
    duel.exchange.answer.hedged = true;
    co_await attempt_in_duel(duel, 1);
    co_return;
  }
  while (duel.flying[0]) {
    const Result<> woken = co_await duel.changed.wait();
    if (!woken) co_return;
  }
}

}  // namespace mesclun::client
