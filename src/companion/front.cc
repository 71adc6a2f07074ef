#include "companion/front.h"

namespace mesclun::companion {

namespace {

QueueRules queue_rules(const Config& config) {
  QueueRules rules;
  rules.queue_max = static_cast<size_t>(config.front.queue_max);
  if (config.monitor.work) {
    rules.queue_max = std::min(rules.queue_max, static_cast<size_t>(config.monitor.queue.start));
  }
  rules.concurrency = static_cast<size_t>(config.front.concurrency);
  rules.batch_size_max = static_cast<size_t>(config.batch.size_max);
  rules.batch_cost_max = config.batch.cost_max;
  rules.batch_wait_max = config.batch.wait_max;
  return rules;
}

constexpr Duration kNotReadyRetry = 5s;

}  // namespace

Front::Front(const asio::any_io_executor& executor, Clock& clock, Random& random,
             const Config& config, ApplicationLink& link, HealthJudge& judge,
             FrontObserver& observer)
    : executor_(executor),
      clock_(clock),
      config_(config),
      link_(link),
      judge_(judge),
      observer_(observer),
      queue_(queue_rules(config)),
      bodies_(config.front.buffer_max),
      batches_(clock, random, config, link, judge, stats_),
      look_again_changed_(executor),
      tasks_(executor, "front") {
  tasks_.spawn(look_again_loop());
}

WorkFacts Front::work_facts() const {
  return {.queue_full = queue_.full(), .oldest_dispatch = queue_.oldest_dispatch()};
}

HealthVerdict Front::health() const {
  return judge_.verdict(clock_.now(), work_facts());
}

LoadReport Front::load_report() const {
  const size_t batch = config_.batch.paths.empty() ? 1 : queue_.rules().batch_size_max;
  const size_t places = std::max<size_t>(1, queue_.rules().concurrency * batch);
  return {.utilization = static_cast<double>(queue_.accepted()) / static_cast<double>(places),
          .places = static_cast<uint32_t>(places)};
}

std::optional<Refusal> Front::not_ready() const {
  const HealthVerdict verdict = health();
  if (verdict.alive()) return std::nullopt;
  return Refusal{503, "not_ready", "not ready: " + verdict.reason, kNotReadyRetry};
}

Refusal Front::queue_full(Duration retry_after) const {
  return {
      config_.front.refused_status, "queue_full",
      fmt::format("{} requests are waiting or at work, which is all that fit", queue_.accepted()),
      retry_after};
}

std::optional<Refusal> Front::refuse_early(int urgency, uint64_t body_bytes) {
  if (std::optional<Refusal> refusal = not_ready()) return refusal;
  if (queue_.full() && !queue_.can_displace(urgency)) {
    return queue_full(queue_.expected_time(0, false, clock_.now()).value_or(1s));
  }
  if (!bodies_.has_room(body_bytes)) {
    return Refusal{config_.front.refused_status, "buffer_full",
                   "the bodies of waiting requests fill front.buffer_max", kNotReadyRetry};
  }
  return std::nullopt;
}

std::optional<Refusal> Front::accept(const TicketPtr& ticket) {
  if (std::optional<Refusal> refusal = not_ready()) return refusal;
  const TimePoint now = clock_.now();
  ticket->queued.id = ++last_id_;
  ticket->queued.arrived = now;
  const Admission admission = queue_.admit(ticket->queued, now);
  switch (admission.verdict) {
    case Admission::Verdict::Accepted:
      break;
    case Admission::Verdict::QueueFull:
      return queue_full(admission.retry_after);
    case Admission::Verdict::WouldMissDeadline:
      return Refusal{config_.front.refused_status, "would_miss_deadline",
                     fmt::format("{} requests are ahead; the answer would come after the deadline",
                                 queue_.waiting()),
                     admission.retry_after};
  }
  ++stats_.accepted;
  tickets_.emplace(ticket->queued.id, ticket);
  if (admission.displaced) {
    if (const auto found = tickets_.find(*admission.displaced); found != tickets_.end()) {
      found->second->refuse_with({config_.front.refused_status, "displaced",
                                  "a more urgent request took the place of this one", 1s});
    }
  }
  pump();
  return std::nullopt;
}

void Front::leave(Ticket& ticket) {
  ticket.left = true;
  queue_.remove(ticket.queued.id);
  tickets_.erase(ticket.queued.id);
  if (ticket.holds_slot) {
    exchange_ended(ticket, {});
  } else {
    pump();
  }
}

void Front::exchange_ended(Ticket& ticket, const ExchangeEnd& end) {
  ticket.holds_slot = false;
  const TimePoint now = clock_.now();
  queue_.finished(ticket.dispatch, now, end.counts);
  if (end.counts) stats_.service.observe(now - ticket.began);
  if (end.answered) {
    judge_.replied(now);
  } else if (const auto mean = queue_.mean_service(false);
             end.error || (mean && now - ticket.began >= *mean)) {
    judge_.unanswered(ticket.began, now);
  }
  if (end.counts || end.error) judge_.answered(now, end.error, end.input);
  if (end.work && !end.error) observe(ticket.began, now, *end.work);
  pump();
}

void Front::observe(TimePoint began, TimePoint ended, double work) {
  stats_.work += work;
  observer_.finished(began, ended, work);
}

void Front::set_queue_max(int queue_max) {
  queue_.set_queue_max(static_cast<size_t>(queue_max));
}

void Front::set_concurrency(int concurrency) {
  queue_.set_concurrency(static_cast<size_t>(concurrency));
  pump();
}

void Front::pump() {
  const TimePoint now = clock_.now();
  while (!tasks_.stopping()) {
    QueueStep step = queue_.next(now);
    if (!step.dispatch) {
      if (step.look_again < look_again_) {
        look_again_ = step.look_again;
        look_again_changed_.notify_all();
      }
      return;
    }
    begin(*step.dispatch, now);
  }
}

void Front::begin(const Dispatch& dispatch, TimePoint now) {
  std::vector<TicketPtr> tickets;
  for (RequestId id : dispatch.requests) {
    TicketPtr ticket = tickets_.at(id);
    stats_.wait.observe(now - ticket->queued.arrived);
    ticket->dispatched = true;
    ticket->dispatch = dispatch.number;
    ticket->began = now;
    tickets.push_back(std::move(ticket));
  }
  if (tickets.front()->queued.batched) {
    tasks_.spawn(carry_batch(dispatch.number, std::move(tickets)));
  } else {
    tickets.front()->grant();
  }
}

Task<Result<>> Front::look_again_loop() {
  while (true) {
    CO_TRY_DO(co_await look_again_changed_.wait_until(clock_, look_again_));
    if (clock_.now() < look_again_) continue;
    look_again_ = TimePoint::max();
    pump();
  }
}

Task<Result<>> Front::carry_batch(uint64_t dispatch, std::vector<TicketPtr> tickets) {
  const BatchCaller::Outcome outcome = co_await batches_.run(std::move(tickets));
  queue_.finished(dispatch, clock_.now(), outcome.whole);
  if (outcome.work) observe(outcome.began, outcome.ended, *outcome.work);
  pump();
  co_return Result<>();
}

Task<void> Front::stop() {
  co_await tasks_.stop();
  for (auto& [id, ticket] : tickets_) {
    if (ticket->state != Ticket::State::Waiting) continue;
    ticket->refuse_with({503, "not_ready", "the instance stops", kNotReadyRetry});
  }
}

}  // namespace mesclun::companion
