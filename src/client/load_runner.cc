#include "client/load_runner.h"

namespace mesclun::client {

LoadRunner::LoadRunner(const asio::any_io_executor& executor, Clock& clock, TrafficClient& client,
                       LoadPlan plan, OnOutcome on_outcome)
    : clock_(clock),
      client_(client),
      plan_(std::move(plan)),
      on_outcome_(std::move(on_outcome)),
      requests_(executor, "load"),
      stopped_changed_(executor),
      ended_(executor) {}

Task<Result<>> LoadRunner::run() {
  started_ = clock_.now();
  if (plan_.duration > 0s) end_ = started_ + plan_.duration;
  Result<> offered;
  if (plan_.rate > 0) {
    offered = co_await offer();
  } else {
    const size_t workers =
        plan_.requests > 0 ? std::min<uint64_t>(plan_.workers, plan_.requests) : plan_.workers;
    for (size_t i = 0; i < workers; ++i) spawn(work());
  }
  while (offered && running_ > 0) offered = co_await ended_.wait();
  if (!offered) give_up();
  co_await requests_.drain();
  co_return offered;
}

void LoadRunner::spawn(Task<Result<>> task) {
  ++running_;
  requests_.spawn(counted(std::move(task)));
}

Task<Result<>> LoadRunner::counted(Task<Result<>> task) {
  const Result<> result = co_await std::move(task);
  --running_;
  ended_.notify_all();
  co_return result;
}

void LoadRunner::stop() {
  stopped_ = true;
  stopped_changed_.notify_all();
  client_.stop();
}

TrafficRequest LoadRunner::make_request(uint64_t index) const {
  TrafficRequest request{.call = plan_.call, .timeout = plan_.timeout};
  if (!plan_.bodies.empty()) request.call.body = plan_.bodies[index % plan_.bodies.size()];
  if (plan_.rate <= 0) request.start_by = end_;
  return request;
}

// Closed loop: the workers wait in the client's line, which lets through as many as the limit says.
Task<Result<>> LoadRunner::work() {
  while (!stopped_ && !all_begun() && clock_.now() < end_) {
    const uint64_t index = next_++;
    TrafficRequest request = make_request(index);
    Result<TrafficAnswer> answer = co_await client_.request(std::move(request));
    const bool never_sent = answer && answer->attempts == 0;
    if (never_sent) co_return Result<>();
    const bool cancelled = !answer;
    report(index, std::move(answer));
    if (cancelled) co_return Error::cancelled();
  }
  co_return Result<>();
}

// Open loop: the next request comes when its time has come, answered or not. Times are counted from
// the start, so that a slow turn of the loop is made up for.
Task<Result<>> LoadRunner::offer() {
  while (!stopped_ && !all_begun()) {
    const auto after =
        Duration(static_cast<int64_t>(static_cast<double>(next_) / plan_.rate * 1e9));
    const TimePoint due = started_ + after;
    if (due >= end_) break;
    while (!stopped_ && clock_.now() < due) {
      CO_TRY_DO(co_await stopped_changed_.wait_until(clock_, due));
    }
    if (!stopped_) spawn(one(next_++));
  }
  co_return Result<>();
}

Task<Result<>> LoadRunner::one(uint64_t index) {
  TrafficRequest request = make_request(index);
  report(index, co_await client_.request(std::move(request)));
  co_return Result<>();
}

void LoadRunner::report(uint64_t index, Result<TrafficAnswer> answer) {
  if (!answer) {
    TrafficAnswer given_up;
    given_up.error = "given up before an answer came";
    given_up.failure = "given_up";
    given_up.attempts = 1;
    answer = std::move(given_up);
  }
  LoadOutcome outcome{index, *std::move(answer)};
  on_outcome_(std::move(outcome));
}

}  // namespace mesclun::client
