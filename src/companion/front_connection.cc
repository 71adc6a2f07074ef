#include "companion/front_connection.h"

#include "base/json.h"
#include "base/log.h"
#include "base/race.h"
#include "companion/config_fields.h"
#include "companion/grpc_health.h"

namespace mesclun::companion {

namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;
constexpr Duration kHeadTimeout = 10s;
constexpr Duration kBodyIdle = 30s;
constexpr Duration kWriteTimeout = 30s;
// A body that is read although its request is refused, so that the connection can go on.
constexpr uint64_t kSmallBody = 64 * 1024;
constexpr size_t kReadAheadMax = 64 * 1024;
constexpr size_t kReadBytes = 8 * 1024;
// So long a caller who waits for a batch is not watched: most are answered by then, and a watch
// costs as much as the rest of a request.
constexpr Duration kUnwatched = 100ms;

}  // namespace

FrontConnection::FrontConnection(ConnPtr conn, Front& front, const StatusPages& pages)
    : conn_(std::move(conn)),
      front_(front),
      pages_(pages),
      clock_(front.clock()),
      config_(front.config()),
      parser_(HttpParser::request(kHeadBytesMax)) {}

std::string_view FrontConnection::Request::path() const {
  const std::string_view target = head.target;
  return target.substr(0, target.find('?'));
}

Task<Result<bool>> FrontConnection::fill() {
  // Not into a buffer of this frame, which would be allocated anew for each read.
  const size_t used = input_.size();
  input_.resize(used + (request_.body.size() >= kReadBytes ? 8 * kReadBytes : kReadBytes));
  const Result<size_t> n =
      co_await conn_->read_some(asio::buffer(input_.data() + used, input_.size() - used));
  input_.resize(used + (n ? *n : 0));
  if (!n) co_return n.error();
  co_return *n > 0;
}

// The preface of HTTP/2 with prior knowledge (RFC 9113 §3.4): a gRPC health check.
Task<Result<bool>> FrontConnection::is_http2() {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n";
  while (input_.size() < kPreface.size() && kPreface.starts_with(input_)) {
    CO_TRY(const bool more, co_await fill());
    if (!more) co_return false;
  }
  co_return input_.starts_with(kPreface);
}

Task<Result<>> FrontConnection::run() {
  for (bool first = true;; first = false) {
    if (input_.empty()) {
      // Between requests; before the first one a caller is given less time.
      conn_->set_deadline(clock_.now() + (first ? kHeadTimeout : config_.front.idle_timeout));
      const Result<bool> more = co_await fill();
      if (!more || !*more) co_return Result<>();
    }
    conn_->set_deadline(clock_.now() + kHeadTimeout);
    if (first) {
      const Result<bool> http2 = co_await is_http2();
      if (!http2) co_return Result<>();
      if (*http2) {
        co_return co_await serve_grpc_health(std::move(conn_), std::move(input_), clock_,
                                             [&pages = pages_] { return pages.health(); });
      }
    }
    const Result<bool> head = co_await read_head();
    Next next = Next::Close;
    if (head && *head) {
      next = co_await serve_request();
    } else if (!head && head.code() == ErrorCode::InvalidArgument) {
      request_.keep_alive = false;
      next = co_await refuse({400, "bad_request", head.error().message, {}}, true);
    } else {
      co_return Result<>();
    }
    if (co_await cancel_requested()) co_return Error::cancelled();
    switch (next) {
      case Next::KeepAlive:
        continue;
      case Next::Close:
        conn_->shutdown_write();
        co_return Result<>();
      case Next::Linger:
        co_await linger();
        co_return Result<>();
      case Next::Gone:
        co_return Result<>();
    }
  }
}

Task<Result<bool>> FrontConnection::read_head() {
  request_ = Request{};
  parser_ = HttpParser::request(kHeadBytesMax);
  while (true) {
    CO_TRY(const HttpParser::Step step, parser_.parse_head(input_));
    input_.erase(0, step.consumed);
    if (step.done) break;
    CO_TRY(const bool more, co_await fill());
    if (!more) co_return false;
  }
  request_.head = std::move(parser_.request_head());
  request_.keep_alive = parser_.keep_alive();
  request_.has_body = parser_.framing().kind != BodyFraming::Kind::None;
  co_return true;
}

bool FrontConnection::is_batched() const {
  if (request_.head.method != "POST") return false;
  const auto& paths = config_.batch.paths;
  return std::find(paths.begin(), paths.end(), request_.path()) != paths.end();
}

bool FrontConnection::is_direct() const {
  for (const std::string& prefix : config_.front.direct_paths) {
    if (request_.path().starts_with(prefix)) return true;
  }
  return false;
}

Task<FrontConnection::Next> FrontConnection::serve_request() {
  if (std::optional<StatusPage> page = pages_.find(request_.path())) {
    BodyReservation reserved{front_};
    if (std::optional<Refusal> refusal = co_await read_body(reserved)) {
      co_return co_await refuse(std::move(*refusal), true);
    }
    std::string out;
    append_page(page->status, page->content_type, page->body, request_.keep_alive,
                request_.to_head(), out);
    conn_->set_deadline(clock_.now() + kWriteTimeout);
    // Not counted with the answers: probes would hide the callers.
    if (!co_await conn_->write(out)) co_return Next::Gone;
    co_return request_.keep_alive ? Next::KeepAlive : Next::Close;
  }
  Result<CallerWish> wish = read_wish(request_.head.headers, config_.front);
  if (!wish) {
    co_return co_await refuse({400, "bad_deadline", wish.error().message, {}}, request_.has_body);
  }
  request_.wish = *wish;
  request_.deadline = clock_.now() + wish->timeout;
  if (request_.head.headers.has_token("Connection", "upgrade")) co_return co_await upgrade();
  if (is_direct()) co_return co_await direct_request();
  co_return co_await queue_request();
}

Task<std::optional<Refusal>> FrontConnection::read_body(BodyReservation& reserved) {
  const uint64_t max = config_.front.body_max;
  const Refusal too_large{413,
                          "body_too_large",
                          fmt::format("the body is larger than {} bytes (front.body_max)", max),
                          {}};
  const BodyFraming framing = parser_.framing();
  if (framing.kind == BodyFraming::Kind::Length && framing.length > max) co_return too_large;
  if (!parser_.body_done() && request_.head.headers.has_token("Expect", "100-continue")) {
    if (!co_await conn_->write("HTTP/1.1 100 Continue\r\n\r\n")) {
      co_return Refusal{400, "bad_request", "the caller left", {}};
    }
  }
  std::vector<std::string_view> pieces;
  while (!parser_.body_done()) {
    pieces.clear();
    Result<HttpParser::Step> step = parser_.parse_body(input_, pieces);
    if (!step) co_return Refusal{400, "bad_request", step.error().message, {}};
    uint64_t bytes = 0;
    for (std::string_view piece : pieces) bytes += piece.size();
    if (request_.body.size() + bytes > max) co_return too_large;
    if (bytes > 0 && !front_.reserve_bytes(bytes)) {
      co_return Refusal{config_.front.refused_status, "buffer_full",
                        "the bodies of waiting requests fill front.buffer_max", 5s};
    }
    reserved.bytes += bytes;
    for (std::string_view piece : pieces) request_.body += piece;
    input_.erase(0, step->consumed);
    if (step->done) break;
    conn_->set_deadline(clock_.now() + kBodyIdle);
    const Result<bool> more = co_await fill();
    if (!more || !*more) {
      const bool slow = !more && more.code() == ErrorCode::DeadlineExceeded;
      co_return Refusal{slow ? 408 : 400,
                        "bad_request",
                        slow ? "the body came too slowly" : "the body ends too early",
                        {}};
    }
  }
  co_return std::nullopt;
}

std::optional<Refusal> FrontConnection::prepare_batched(Ticket& ticket) const {
  ticket.queued.batched = true;
  MessageFields fields(request_.head.headers, request_.body);
  if (config_.batch.format == BatchFormat::Json && !fields.json()) {
    return Refusal{
        400, "bad_request", "the body must be JSON: " + fields.json().error().message, {}};
  }
  ticket.queued.key = fields.find(config_.batch.key).value_or("");
  if (ticket.queued.key.size() > 256) {
    return Refusal{400, "bad_request", "the batch key is longer than 256 bytes", {}};
  }
  if (config_.batch.cost) {
    const Result<double> cost = fields.number(config_.batch.cost);
    if (!cost && cost.code() == ErrorCode::InvalidArgument) {
      return Refusal{
          400, "bad_cost", to_string(config_.batch.cost) + ": " + cost.error().message, {}};
    }
    if (cost) ticket.queued.cost = *cost;
  }
  return std::nullopt;
}

Task<FrontConnection::Next> FrontConnection::queue_request() {
  const BodyFraming framing = parser_.framing();
  const uint64_t length = framing.kind == BodyFraming::Kind::Length ? framing.length : 0;
  if (auto early = front_.refuse_early(request_.wish.urgency, length)) {
    const bool small = framing.kind == BodyFraming::Kind::None ||
                       (framing.kind == BodyFraming::Kind::Length && length <= kSmallBody &&
                        !request_.head.headers.has("Expect"));
    BodyReservation reserved{front_};
    const bool unread = !small || co_await read_body(reserved);
    co_return co_await refuse(std::move(*early), unread);
  }
  BodyReservation reserved{front_};
  if (std::optional<Refusal> refusal = co_await read_body(reserved)) {
    co_return co_await refuse(std::move(*refusal), true);
  }
  TicketPtr ticket = front_.make_ticket();
  ticket->queued.urgency = request_.wish.urgency;
  ticket->queued.deadline = request_.deadline;
  if (is_batched()) {
    if (std::optional<Refusal> refusal = prepare_batched(*ticket)) {
      co_return co_await refuse(std::move(*refusal), false);
    }
    ticket->path = request_.path();
    ticket->content_type = request_.head.headers.find("Content-Type").value_or("");
    ticket->body = std::move(request_.body);
  }
  if (std::optional<Refusal> refusal = front_.accept(ticket)) {
    co_return co_await refuse(std::move(*refusal), false);
  }
  struct Place {
    Front& front;
    TicketPtr ticket;
    ~Place() { front.leave(*ticket); }
  } const place{front_, ticket};
  conn_->set_deadline(TimePoint::max());
  bool gone = false;
  Next next = Next::Gone;
  if (ticket->queued.batched) co_await wait_until(*ticket, clock_.now() + kUnwatched);
  if (ticket->state == Ticket::State::Answered || ticket->state == Ticket::State::Refused) {
    co_await wait_and_serve(ticket, next);
  } else {
    co_await race(wait_and_serve(ticket, next), watch_caller(gone));
  }
  if (gone || co_await cancel_requested()) {
    if (next == Next::Gone) ++front_.stats().cancelled;
    co_return Next::Gone;
  }
  co_return next;
}

Task<void> FrontConnection::watch_caller(bool& gone) {
  while (input_.size() < kReadAheadMax) {
    const Result<bool> more = co_await fill();
    if (more && *more) continue;  // its next request, ahead of time
    if (more || more.code() != ErrorCode::Cancelled) gone = true;
    co_return;
  }
  Notify never(co_await asio::this_coro::executor);
  const Result<> ended = co_await never.wait();
  static_cast<void>(ended);
}

Task<bool> FrontConnection::wait_until(Ticket& ticket, TimePoint when) {
  when = std::min(when, request_.deadline);
  while (ticket.state == Ticket::State::Waiting && clock_.now() < when) {
    if (!co_await ticket.changed.wait_until(clock_, when)) co_return false;
  }
  co_return true;
}

Task<void> FrontConnection::wait_and_serve(TicketPtr ticket, Next& next) {
  if (!co_await wait_until(*ticket, request_.deadline)) co_return;
  switch (ticket->state) {
    case Ticket::State::Waiting: {
      const std::string_view where =
          ticket->dispatched ? "the application did not answer within" : "the request waited for";
      Refusal late{
          config_.front.timeout_status,
          "deadline",
          fmt::format("{} {:.1f} s, its deadline", where, to_seconds(request_.wish.timeout)),
          {}};
      next = co_await refuse(std::move(late), false);
      co_return;
    }
    case Ticket::State::Refused:
      next = co_await refuse(ticket->refusal, false);
      co_return;
    case Ticket::State::Answered:
      next = co_await send_item(std::move(ticket->answer));
      co_return;
    case Ticket::State::Granted:
      co_await serve_granted(ticket.get(), next);
      co_return;
  }
}

// `ticket` is null for a request that was not queued.
Task<void> FrontConnection::serve_granted(Ticket* ticket, Next& next) {
  struct Guard {
    Front& front;
    Ticket* ticket;
    Front::ExchangeEnd end;
    ~Guard() {
      if (ticket != nullptr) front.exchange_ended(*ticket, end);
    }
  } guard{front_, ticket, {.began = clock_.now()}};
  std::string head;
  append_forward_head(request_.head, config_.front, request_.body.size(), request_.has_body,
                      request_.deadline - clock_.now(), head);
  AppExchange exchange(clock_, front_.link());
  const Result<> opened =
      co_await exchange.open(std::move(head), request_.body, request_.to_head(), request_.deadline);
  if (!opened) {
    if (opened.code() == ErrorCode::Cancelled) co_return;
    const bool late = opened.code() == ErrorCode::DeadlineExceeded;
    guard.end.counts = late;
    // A caller in a hurry is no sign of a broken application.
    guard.end.error = !late || request_.wish.timeout >= config_.front.timeout;
    Refusal refusal = front_.application_refusal(opened.error());
    next = co_await refuse(std::move(refusal), false);
    co_return;
  }
  guard.end.error = exchange.head().status >= 500;
  next = co_await relay(exchange, guard.end.work);
  guard.end.counts = next == Next::KeepAlive || next == Next::Close;
}

Task<FrontConnection::Next> FrontConnection::relay(AppExchange& exchange,
                                                   std::optional<double>& work) {
  const bool has_body = exchange.has_body();
  const int status = exchange.head().status;
  const AnswerPlan plan =
      plan_answer(exchange.framing(), has_body, request_.head.http_1_0, request_.keep_alive);
  std::string out;
  append_answer_head(exchange.head(), plan, out);
  ++front_.stats().answers[status];
  WorkMeter meter(config_.monitor.work);
  meter.begin(exchange.head().headers);
  std::vector<std::string_view> pieces;
  for (bool ended = !has_body; !ended || !out.empty();) {
    if (!ended && (out.empty() || exchange.body_at_hand())) {
      pieces.clear();
      const Result<bool> end = co_await exchange.read_body(pieces, config_.front.idle_timeout);
      // Broken off in the middle: the caller must see that, so its connection breaks too.
      if (!end) co_return Next::Gone;
      ended = *end;
      for (std::string_view piece : pieces) {
        meter.feed(piece);
        append_piece(piece, plan.framing, out);
      }
      if (ended) append_end(plan.framing, out);
    }
    if (out.empty()) continue;
    conn_->set_deadline(clock_.now() + config_.front.idle_timeout);
    if (!co_await conn_->write(out)) co_return Next::Gone;
    conn_->set_deadline(TimePoint::max());
    out.clear();
  }
  exchange.finish();
  if (status < 400) work = meter.finish();
  co_return plan.keep_alive ? Next::KeepAlive : Next::Close;
}

Task<FrontConnection::Next> FrontConnection::send_item(ItemAnswer answer) {
  ResponseHead head;
  head.status = answer.status;
  head.headers = std::move(answer.headers);
  const bool no_body = answer.status == 204 || answer.status == 304;
  if (!no_body) head.headers.set("Content-Length", std::to_string(answer.body.size()));
  if (!request_.keep_alive) head.headers.set("Connection", "close");
  std::string out;
  write_head(head, out);
  if (!no_body) out += answer.body;
  co_return co_await send(std::move(out), answer.status,
                          request_.keep_alive ? Next::KeepAlive : Next::Close);
}

Task<FrontConnection::Next> FrontConnection::direct_request() {
  BodyReservation reserved{front_};
  if (std::optional<Refusal> refusal = co_await read_body(reserved)) {
    co_return co_await refuse(std::move(*refusal), true);
  }
  if (std::optional<Refusal> refusal = front_.not_ready()) {
    co_return co_await refuse(std::move(*refusal), false);
  }
  conn_->set_deadline(TimePoint::max());
  bool gone = false;
  Next next = Next::Gone;
  co_await race(serve_granted(nullptr, next), watch_caller(gone));
  co_return gone ? Next::Gone : next;
}

Task<FrontConnection::Next> FrontConnection::refuse(Refusal refusal, bool body_unread) {
  ++front_.stats().refusals[refusal.code];
  const bool keep_alive = request_.keep_alive && !body_unread;
  std::string out;
  append_refusal(refusal, keep_alive, request_.to_head(), out);
  const Next after = body_unread ? Next::Linger : keep_alive ? Next::KeepAlive : Next::Close;
  co_return co_await send(std::move(out), refusal.status, after);
}

Task<FrontConnection::Next> FrontConnection::send(std::string bytes, int status, Next after) {
  ++front_.stats().answers[status];
  conn_->set_deadline(clock_.now() + kWriteTimeout);
  if (!co_await conn_->write(bytes)) co_return Next::Gone;
  co_return after;
}

// Closing with unread input would reset the connection, perhaps before the caller has read why.
Task<void> FrontConnection::linger() {
  conn_->shutdown_write();
  conn_->set_deadline(clock_.now() + 1s);
  char sink[16 * 1024];
  for (int i = 0; i < 1024; ++i) {
    const Result<size_t> n = co_await conn_->read_some(asio::buffer(sink));
    if (!n || *n == 0) co_return;
  }
}

namespace {

Task<void> copy_quietly(Conn& from, Conn& to, Clock& clock, Duration idle) {
  const Result<uint64_t> copied = co_await copy_stream(from, to, clock, idle);
  // After an error in one direction the other has nothing to say either.
  if (!copied) {
    from.close();
    to.close();
  }
}

}  // namespace

// A websocket lasts as long as both like; it takes no place in the queue.
Task<FrontConnection::Next> FrontConnection::upgrade() {
  if (std::optional<Refusal> refusal = front_.not_ready()) {
    co_return co_await refuse(std::move(*refusal), request_.has_body);
  }
  if (request_.has_body) {
    co_return co_await refuse({400, "bad_request", "an upgrade has no body", {}}, true);
  }
  std::string head;
  append_upgrade_head(request_.head, head);
  AppExchange exchange(clock_, front_.link());
  const Result<> opened = co_await exchange.open(std::move(head), "", false, request_.deadline);
  if (!opened) {
    co_return co_await refuse(front_.application_refusal(opened.error()), false);
  }
  if (exchange.head().status != 101) {
    std::optional<double> work;
    co_return co_await relay(exchange, work);
  }
  ++front_.stats().answers[101];
  std::string out;
  append_switching_head(exchange.head(), out);
  conn_->set_deadline(clock_.now() + kWriteTimeout);
  if (!co_await conn_->write(out)) co_return Next::Gone;
  const ConnPtr caller = with_read_ahead(std::move(conn_), std::move(input_));
  const ConnPtr application = exchange.take_conn();
  const Duration idle = config_.front.idle_timeout;
  co_await join(copy_quietly(*caller, *application, clock_, idle),
                copy_quietly(*application, *caller, clock_, idle));
  co_return Next::Gone;
}

}  // namespace mesclun::companion
