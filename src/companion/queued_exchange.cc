#include "companion/queued_exchange.h"

#include <algorithm>

#include "base/race.h"
#include "companion/config_fields.h"

namespace mesclun::companion {

namespace {

// A body that is read although its request is refused, so that the connection can go on.
constexpr uint64_t kSmallBody = 64 * 1024;
constexpr size_t kBatchKeyMax = 256;
// So long a caller who waits for a batch is not watched: most are answered by then, and a watch
// costs as much as the rest of a request.
constexpr Duration kUnwatched = 100ms;

}  // namespace

QueuedExchange::QueuedExchange(Caller& caller, Front& front)
    : caller_(caller), front_(front), request_(caller.request()), body_share_(front.bodies()) {}

QueuedExchange::~QueuedExchange() {
  if (accepted_) front_.leave(*ticket_);
}

bool QueuedExchange::is_batched() const {
  const auto& paths = front_.config().batch.paths;
  return request_.head.method == "POST" && std::ranges::find(paths, request_.path()) != paths.end();
}

Task<Next> QueuedExchange::run() {
  const BodyFraming framing = request_.framing;
  const uint64_t length = framing.kind == BodyFraming::Kind::Length ? framing.length : 0;
  if (auto early = front_.refuse_early(request_.wish.urgency, length)) {
    const bool small =
        !request_.has_body() || (framing.kind == BodyFraming::Kind::Length &&
                                 length <= kSmallBody && !request_.head.headers.has("Expect"));
    const bool unread = !small || co_await caller_.read_body(body_share_);
    co_return co_await caller_.refuse(std::move(*early), unread);
  }
  if (std::optional<Refusal> refusal = co_await caller_.read_body(body_share_)) {
    co_return co_await caller_.refuse(std::move(*refusal), true);
  }
  ticket_ = front_.make_ticket();
  ticket_->queued.urgency = request_.wish.urgency;
  ticket_->queued.deadline = request_.deadline;
  std::optional<Refusal> refusal;
  if (is_batched()) refusal = prepare_batched();
  if (!refusal) refusal = front_.accept(ticket_);
  if (refusal) co_return co_await caller_.refuse(std::move(*refusal), false);
  accepted_ = true;
  caller_.conn().set_deadline(TimePoint::max());
  bool gone = false;
  Next next = Next::Gone;
  if (ticket_->queued.batched) co_await wait_until(front_.clock().now() + kUnwatched);
  if (ticket_->state == Ticket::State::Answered || ticket_->state == Ticket::State::Refused) {
    co_await wait_and_serve(next);
  } else {
    co_await race(wait_and_serve(next), caller_.watch(gone));
  }
  if (gone || co_await cancel_requested()) {
    if (next == Next::Gone) ++front_.stats().cancelled;
    co_return Next::Gone;
  }
  if (next == Next::Upgraded) co_await relay_->splice();
  co_return next;
}

std::optional<Refusal> QueuedExchange::prepare_batched() {
  const BatchConfig& config = front_.config().batch;
  QueuedRequest& queued = ticket_->queued;
  queued.batched = true;
  MessageFields fields(request_.head.headers, request_.body);
  if (config.format == BatchFormat::Json && !fields.json()) {
    return Refusal{
        400, "bad_request", "the body must be JSON: " + fields.json().error().message, {}};
  }
  queued.key = fields.find(config.key).value_or("");
  if (queued.key.size() > kBatchKeyMax) {
    return Refusal{
        400, "bad_request", fmt::format("the batch key is longer than {} bytes", kBatchKeyMax), {}};
  }
  if (config.cost) {
    const Result<double> cost = fields.number(config.cost);
    if (!cost && cost.code() == ErrorCode::InvalidArgument) {
      return Refusal{400, "bad_cost", to_string(config.cost) + ": " + cost.error().message, {}};
    }
    if (cost) queued.cost = *cost;
  }
  ticket_->path = request_.head.target;
  ticket_->content_type = request_.head.headers.find("Content-Type").value_or("");
  ticket_->body = std::move(request_.body);
  return std::nullopt;
}

Task<bool> QueuedExchange::wait_until(TimePoint when) {
  Clock& clock = front_.clock();
  when = std::min(when, request_.deadline);
  while (ticket_->state == Ticket::State::Waiting && clock.now() < when) {
    if (!co_await ticket_->changed.wait_until(clock, when)) co_return false;
  }
  co_return true;
}

Refusal QueuedExchange::too_late() const {
  const std::string_view where =
      ticket_->dispatched ? "the application did not answer within" : "the request waited for";
  return {front_.config().front.timeout_status,
          "deadline",
          fmt::format("{} {:.1f} s, its deadline", where, to_seconds(request_.wish.timeout)),
          {}};
}

Task<void> QueuedExchange::wait_and_serve(Next& next) {
  if (!co_await wait_until(request_.deadline)) co_return;
  switch (ticket_->state) {
    case Ticket::State::Waiting:
      next = co_await caller_.refuse(too_late(), false);
      co_return;
    case Ticket::State::Refused:
      next = co_await caller_.refuse(ticket_->refusal, false);
      co_return;
    case Ticket::State::Answered:
      next = co_await send_item();
      co_return;
    case Ticket::State::Granted:
      relay_.emplace(caller_, front_,
                     [this](const Front::ExchangeEnd& end) { application_is_done(end); });
      co_await relay_->run(next);
      co_return;
  }
}

void QueuedExchange::application_is_done(const Front::ExchangeEnd& end) {
  front_.exchange_ended(*ticket_, end);
  front_.leave(*ticket_);
  accepted_ = false;
}

Task<Next> QueuedExchange::send_item() {
  // Its place is free, however slowly the answer is read.
  front_.leave(*ticket_);
  accepted_ = false;
  const Front::AnswerUnderWay under_way(front_);
  ItemAnswer& answer = ticket_->answer;
  ResponseHead head;
  head.status = answer.status;
  head.headers = std::move(answer.headers);
  if (request_.wants_load_report()) add_load_report(front_.load_report(), head.headers);
  const bool no_body = answer.status == 204 || answer.status == 304;
  if (!no_body) head.headers.set("Content-Length", std::to_string(answer.body.size()));
  if (!request_.keep_alive) head.headers.set("Connection", "close");
  std::string out;
  write_head(head, out);
  if (!no_body) out += answer.body;
  co_return co_await caller_.send(std::move(out), answer.status,
                                  request_.keep_alive ? Next::KeepAlive : Next::Close);
}

}  // namespace mesclun::companion
