#include "companion/front.h"

#include "base/crypto.h"
#include "base/log.h"

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
      random_(random),
      config_(config),
      link_(link),
      judge_(judge),
      observer_(observer),
      queue_(queue_rules(config)),
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

Refusal Front::application_refusal(const Error& error) const {
  const std::string text = "the application did not answer: " + error.message;
  if (error.code == ErrorCode::DeadlineExceeded) {
    return {config_.front.timeout_status, "deadline", text, {}};
  }
  if (error.code == ErrorCode::Unavailable) return {502, "application_unreachable", text, {}};
  return {502, "application_bad_answer", text, {}};
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
  if (buffered_bytes_ + body_bytes > config_.front.buffer_max) {
    return Refusal{config_.front.refused_status, "buffer_full",
                   "the bodies of waiting requests fill front.buffer_max", kNotReadyRetry};
  }
  return std::nullopt;
}

bool Front::reserve_bytes(uint64_t bytes) {
  if (buffered_bytes_ + bytes > config_.front.buffer_max) return false;
  buffered_bytes_ += bytes;
  return true;
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
      refuse(*found->second, {config_.front.refused_status, "displaced",
                              "a more urgent request took the place of this one", 1s});
    }
  }
  pump();
  return std::nullopt;
}

void Front::leave(Ticket& ticket) {
  queue_.remove(ticket.queued.id);
  tickets_.erase(ticket.queued.id);
  if (ticket.holds_slot) {
    exchange_ended(ticket, {.began = clock_.now()});
  } else {
    pump();
  }
}

void Front::exchange_ended(Ticket& ticket, const ExchangeEnd& end) {
  ticket.holds_slot = false;
  const TimePoint now = clock_.now();
  queue_.finished(ticket.dispatch, now, end.counts);
  if (end.counts) stats_.service.observe(now - end.began);
  if (end.counts || end.error) judge_.answered(now, end.error);
  if (end.work && !end.error) {
    stats_.work += *end.work;
    observer_.finished(end.began, now, *end.work);
  }
  pump();
}

void Front::add_work(const HeaderList& headers, std::string_view body,
                     std::optional<double>& work) {
  if (!config_.monitor.work) return;
  const Result<double> found = find_number(config_.monitor.work, headers, body);
  if (found) work = work.value_or(0) + *found;
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
    std::vector<TicketPtr> tickets;
    for (RequestId id : step.dispatch->requests) {
      TicketPtr ticket = tickets_.at(id);
      stats_.wait.observe(now - ticket->queued.arrived);
      ticket->dispatched = true;
      ticket->dispatch = step.dispatch->number;
      tickets.push_back(std::move(ticket));
    }
    if (tickets.front()->queued.batched) {
      tasks_.spawn(run_batch(step.dispatch->number, std::move(tickets)));
    } else {
      tickets.front()->state = Ticket::State::Granted;
      tickets.front()->holds_slot = true;
      tickets.front()->changed.notify_all();
    }
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

void Front::answer(Ticket& ticket, ItemAnswer answer) {
  ticket.answer = std::move(answer);
  ticket.state = Ticket::State::Answered;
  ticket.changed.notify_all();
}

void Front::refuse(Ticket& ticket, Refusal refusal) {
  ticket.refusal = std::move(refusal);
  ticket.state = Ticket::State::Refused;
  ticket.changed.notify_all();
}

Task<bool> Front::call_batch(std::vector<TicketPtr> tickets, Refusal& failure,
                             std::optional<double>& work) {
  std::vector<BatchItem> items;
  TimePoint first_deadline = TimePoint::max();
  for (const TicketPtr& ticket : tickets) {
    items.push_back({.id = ticket->queued.id,
                     .path = ticket->path,
                     .content_type = ticket->content_type,
                     .body = ticket->body});
    first_deadline = std::min(first_deadline, ticket->queued.deadline);
  }
  const bool multipart = config_.batch.format == BatchFormat::Multipart;
  HttpCall call = write_batch(config_.batch, items,
                              multipart ? "mesclun-" + new_secret(random_, 16) : std::string());
  const int64_t left = to_millis(first_deadline - clock_.now());
  call.headers.set(config_.front.deadline_header, std::to_string(std::max<int64_t>(1, left)));
  // Every answer may be as large as the largest body, and some framing.
  const size_t answer_max = config_.front.body_max * tickets.size() + 64 * 1024;
  // Not until the deadlines of the callers: the application works on, and must not get the next
  // batch beside this one.
  const TimePoint hangs_at = clock_.now() + config_.application.hang_after;
  Result<HttpReply> reply = co_await link_.call(std::move(call), hangs_at, answer_max);
  if (!reply) {
    failure = application_refusal(reply.error());
    co_return false;
  }
  if (tickets.size() == 1 && reply->status >= 400) {
    // What the application says about one request goes to its caller.
    ItemAnswer own{.status = reply->status, .body = std::move(reply->body)};
    own.headers.set("Content-Type",
                    reply->headers.find("Content-Type").value_or("application/octet-stream"));
    answer(*tickets.front(), std::move(own));
    failure.message = fmt::format("the application answered {}", reply->status);
    co_return reply->status < 500;
  }
  Result<std::vector<std::optional<ItemAnswer>>> answers = split_answer(*reply, items);
  if (!answers) {
    failure = {502,
               tickets.size() == 1 ? "application_bad_answer" : "batch_failed",
               answers.error().message,
               {}};
    co_return false;
  }
  // The application may count the whole batch at once, in a header of its answer.
  if (config_.monitor.work.kind == FieldSource::Kind::Header) add_work(reply->headers, {}, work);
  for (size_t i = 0; i < tickets.size(); ++i) {
    std::optional<ItemAnswer>& item = (*answers)[i];
    if (!item) continue;  // stays Waiting, for the caller of this to deal with
    if (item->status < 400) add_work(item->headers, item->body, work);
    answer(*tickets[i], std::move(*item));
  }
  co_return true;
}

// At most one line a second: a broken application must not fill the log.
void Front::warn_of_failure(size_t items, const std::string& why) {
  const TimePoint now = clock_.now();
  if (now < next_warning_) return;
  next_warning_ = now + 1s;
  log_warning("front", "a batch failed as a whole",
              {{"items", items}, {"why", why}, {"failures_in_all", stats_.batch_failures}});
}

Task<Result<>> Front::run_batch(uint64_t dispatch, std::vector<TicketPtr> tickets) {
  const TimePoint began = clock_.now();
  ++stats_.batches;
  stats_.batch_items += tickets.size();
  Refusal failure;
  std::optional<double> work;
  const bool whole = co_await call_batch(tickets, failure, work);
  const TimePoint ended = clock_.now();
  stats_.service.observe(ended - began);
  judge_.answered(ended, !whole);
  if (!whole) {
    ++stats_.batch_failures;
    warn_of_failure(tickets.size(), failure.message);
  }
  for (const TicketPtr& ticket : tickets) {
    if (ticket->state != Ticket::State::Waiting) continue;
    Refusal alone =
        whole ? Refusal{502, "missing_item", "the application's answer leaves this item out", {}}
              : failure;
    const bool in_time =
        clock_.now() < ticket->queued.deadline && tickets_.contains(ticket->queued.id);
    const bool another_try = config_.batch.retry_singly && (tickets.size() > 1 || whole);
    if (another_try && in_time && !tasks_.stopping()) {
      ++stats_.retried_singly;
      Refusal again;
      std::vector<TicketPtr> one;
      one.push_back(ticket);
      if (!co_await call_batch(std::move(one), again, work)) alone = std::move(again);
      if (ticket->state != Ticket::State::Waiting) continue;
    }
    refuse(*ticket, std::move(alone));
  }
  queue_.finished(dispatch, clock_.now(), whole);
  if (work) {
    stats_.work += *work;
    observer_.finished(began, ended, *work);
  }
  pump();
  co_return Result<>();
}

Task<void> Front::stop() {
  co_await tasks_.stop();
  for (auto& [id, ticket] : tickets_) {
    if (ticket->state != Ticket::State::Waiting) continue;
    refuse(*ticket, {503, "not_ready", "the instance stops", kNotReadyRetry});
  }
}

}  // namespace mesclun::companion
