#include "companion/batch_caller.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/log.h"
#include "companion/forward.h"

namespace mesclun::companion {

Task<BatchCaller::Outcome> BatchCaller::run(std::vector<TicketPtr> tickets) {
  Outcome outcome{.began = clock_.now()};
  ++stats_.batches;
  stats_.batch_items += tickets.size();
  const std::optional<Refusal> failure = co_await call(tickets, outcome);
  outcome.ended = clock_.now();
  outcome.whole = !failure;
  stats_.service.observe(outcome.ended - outcome.began);
  if (failure) {
    ++stats_.batch_failures;
    warn_of_failure(tickets.size(), failure->message);
  }
  for (const TicketPtr& ticket : tickets) {
    if (ticket->state != Ticket::State::Waiting) continue;
    Refusal why =
        failure ? *failure
                : Refusal{502, "missing_item", "the application's answer leaves this item out", {}};
    const bool in_time = clock_.now() < ticket->queued.deadline && !ticket->left;
    const bool another_try = config_.batch.retry_singly && (tickets.size() > 1 || !failure);
    if (another_try && in_time && !co_await cancel_requested()) {
      ++stats_.retried_singly;
      std::vector<TicketPtr> alone{ticket};
      std::optional<Refusal> again = co_await call(std::move(alone), outcome);
      if (ticket->state != Ticket::State::Waiting) continue;
      if (again) why = *std::move(again);
    }
    ticket->refuse_with(std::move(why));
  }
  judge_items(tickets, outcome);
  co_return outcome;
}

// By what the items did, if need be alone. Where one got a good answer, the errors of others follow
// from what they asked, also when they took the whole batch along.
void BatchCaller::judge_items(const std::vector<TicketPtr>& tickets, const Outcome& outcome) {
  const TimePoint now = clock_.now();
  const auto good = std::ranges::count_if(tickets, [](const TicketPtr& ticket) {
    return ticket->state == Ticket::State::Answered && ticket->answer.status < 500;
  });
  for (ptrdiff_t i = 0; i < good; ++i) judge_.answered(now, false);
  if (good > 0) return;
  if (!outcome.replied) judge_.unanswered(outcome.began, outcome.ended);
  for (const TicketPtr& ticket : tickets) {
    judge_.answered(now, true, input_hash("POST", ticket->path, ticket->body));
  }
}

HttpCall BatchCaller::write_call(const std::vector<TicketPtr>& tickets,
                                 const std::vector<BatchItem>& items) {
  const bool multipart = config_.batch.format == BatchFormat::Multipart;
  HttpCall call = write_batch(config_.batch, items,
                              multipart ? "mesclun-" + new_secret(random_, 16) : std::string());
  TimePoint first_deadline = TimePoint::max();
  for (const TicketPtr& ticket : tickets) {
    first_deadline = std::min(first_deadline, ticket->queued.deadline);
  }
  const int64_t left = to_millis(first_deadline - clock_.now());
  call.headers.set(config_.front.deadline_header, std::to_string(std::max<int64_t>(1, left)));
  return call;
}

Task<std::optional<Refusal>> BatchCaller::call(std::vector<TicketPtr> tickets, Outcome& outcome) {
  std::vector<BatchItem> items;
  for (const TicketPtr& ticket : tickets) {
    items.push_back({.id = ticket->queued.id,
                     .path = ticket->path,
                     .content_type = ticket->content_type,
                     .body = ticket->body});
  }
  // Every answer may be as large as the largest body, and some framing.
  const size_t answer_max = config_.front.body_max * tickets.size() + 64 * 1024;
  // Not until the deadlines of the callers: the application works on, and must not get the next
  // batch beside this one.
  const TimePoint hangs_at = clock_.now() + config_.application.hang_after;
  Result<HttpReply> reply = co_await link_.call(write_call(tickets, items), hangs_at, answer_max);
  if (!reply) co_return application_refusal(reply.error(), config_.front);
  outcome.replied = true;
  judge_.replied(clock_.now());
  co_return hand_out(*std::move(reply), items, tickets, outcome.work);
}

std::optional<Refusal> BatchCaller::hand_out(HttpReply reply, const std::vector<BatchItem>& items,
                                             const std::vector<TicketPtr>& tickets,
                                             std::optional<double>& work) {
  if (tickets.size() == 1 && reply.status >= 400) {
    // What the application says about one request goes to its caller.
    ItemAnswer own{.status = reply.status, .body = std::move(reply.body)};
    own.headers.set("Content-Type",
                    reply.headers.find("Content-Type").value_or("application/octet-stream"));
    tickets.front()->answer_with(std::move(own));
    if (reply.status < 500) return std::nullopt;
    return Refusal{.message = fmt::format("the application answered {}", reply.status)};
  }
  Result<std::vector<std::optional<ItemAnswer>>> answers = split_answer(reply, items);
  if (!answers) {
    return Refusal{502,
                   tickets.size() == 1 ? "application_bad_answer" : "batch_failed",
                   answers.error().message,
                   {}};
  }
  // The application may count the whole batch at once, in a header of its answer.
  if (config_.monitor.work.kind == FieldSource::Kind::Header) add_work(reply.headers, {}, work);
  for (size_t i = 0; i < tickets.size(); ++i) {
    std::optional<ItemAnswer>& item = (*answers)[i];
    if (!item) continue;  // stays Waiting, for run() to deal with
    if (item->status < 400) add_work(item->headers, item->body, work);
    tickets[i]->answer_with(std::move(*item));
  }
  return std::nullopt;
}

void BatchCaller::add_work(const HeaderList& headers, std::string_view body,
                           std::optional<double>& work) {
  if (!config_.monitor.work) return;
  const Result<double> found = find_number(config_.monitor.work, headers, body);
  if (found) work = work.value_or(0) + *found;
}

// At most one line a second: a broken application must not fill the log.
void BatchCaller::warn_of_failure(size_t items, const std::string& why) {
  const TimePoint now = clock_.now();
  if (now < next_warning_) return;
  next_warning_ = now + 1s;
  log_warning("front", "a batch failed as a whole",
              {{"items", items}, {"why", why}, {"failures_in_all", stats_.batch_failures}});
}

}  // namespace mesclun::companion
