#include "companion/relay.h"

#include <array>
#include <span>

#include "base/race.h"
#include "companion/work_meter.h"

namespace mesclun::companion {

namespace {

// One write to the caller: what stands before the pieces of a body, they themselves where they lie,
// and what stands after them. More pieces than these are small, and cheaper to copy.
constexpr size_t kPiecesMax = 4;
struct Output {
  std::string before;
  std::string after;
  std::array<asio::const_buffer, kPiecesMax + 2> buffers;

  std::span<const asio::const_buffer> gather(std::span<const std::string_view> pieces);
};

std::span<const asio::const_buffer> Output::gather(std::span<const std::string_view> pieces) {
  if (pieces.size() > kPiecesMax) {
    for (const std::string_view piece : pieces) before += piece;
    pieces = {};
  }
  size_t n = 0;
  const auto add = [&](std::string_view text) {
    if (!text.empty()) buffers[n++] = asio::buffer(text);
  };
  add(before);
  for (const std::string_view piece : pieces) add(piece);
  add(after);
  return std::span(buffers).first(n);
}

Task<void> copy_quietly(Conn& from, Conn& to, Clock& clock, Duration idle) {
  const Result<uint64_t> copied = co_await copy_stream(from, to, clock, idle);
  // After an error in one direction the other has nothing to say either.
  if (!copied) {
    from.close();
    to.close();
  }
}

}  // namespace

Task<void> Relay::run(Next& next, Front::ExchangeEnd& end) {
  const CallerRequest& request = caller_.request();
  const FrontConfig& config = front_.config().front;
  std::string head;
  append_forward_head(request.head, config, request.framing_as_whole(),
                      request.deadline - front_.clock().now(), head);
  const Result<> opened =
      co_await exchange_.open(std::move(head), request.body, request.to_head(), request.deadline);
  if (!opened) {
    if (opened.code() == ErrorCode::Cancelled) co_return;
    const bool late = opened.code() == ErrorCode::DeadlineExceeded;
    end.counts = late;
    // A caller in a hurry is no sign of a broken application.
    end.error = !late || request.wish.timeout >= config.timeout;
    next = co_await caller_.refuse(application_refusal(opened.error(), config), false);
    co_return;
  }
  end.error = exchange_.answer().response_head().status >= 500;
  next = co_await pass_on(end.work);
  end.counts = next == Next::KeepAlive || next == Next::Close;
}

Task<Next> Relay::pass_on(std::optional<double>& work) {
  const CallerRequest& request = caller_.request();
  Conn& conn = caller_.conn();
  HttpReader& answer = exchange_.answer();
  const ResponseHead& head = answer.response_head();
  const Duration idle = front_.config().front.idle_timeout;
  const AnswerPlan plan =
      plan_answer(answer.framing(), !answer.body_done(), request.head.http_1_0, request.keep_alive);
  const bool in_chunks = plan.framing == BodyFraming::Kind::Chunked;
  Output out;
  append_answer_head(head, plan, out.before, drop_none);
  ++front_.stats().answers[head.status];
  WorkMeter meter(front_.config().monitor.work);
  meter.begin(head.headers);
  std::vector<std::string_view> pieces;
  while (true) {
    pieces.clear();
    const Result<bool> ended = answer.take_body(pieces);
    // Broken off in the middle: the caller must see that, so its connection breaks too.
    if (!ended) co_return Next::Gone;
    size_t bytes = 0;
    for (const std::string_view piece : pieces) {
      meter.feed(piece);
      bytes += piece.size();
    }
    if (in_chunks && bytes > 0) {
      append_chunk_start(bytes, out.before);
      out.after = kChunkEnd;
    }
    if (in_chunks && *ended) append_last_chunk(answer.trailers(), out.after, drop_none);
    if (const auto buffers = out.gather(pieces); !buffers.empty()) {
      conn.set_deadline(front_.clock().now() + idle);
      if (!co_await conn.write(buffers)) co_return Next::Gone;
      conn.set_deadline(TimePoint::max());
      out.before.clear();
      out.after.clear();
    }
    if (*ended) break;
    exchange_.conn().set_deadline(front_.clock().now() + idle);
    if (!co_await answer.fill_body()) co_return Next::Gone;
  }
  if (head.status < 400) work = meter.finish();
  exchange_.finish();
  co_return plan.keep_alive ? Next::KeepAlive : Next::Close;
}

Task<Next> Relay::upgrade() {
  const CallerRequest& request = caller_.request();
  std::string head;
  append_upgrade_head(request.head, head);
  const Result<> opened = co_await exchange_.open(std::move(head), "", false, request.deadline);
  if (!opened) {
    co_return co_await caller_.refuse(application_refusal(opened.error(), front_.config().front),
                                      false);
  }
  if (exchange_.answer().response_head().status != 101) {
    std::optional<double> work;
    co_return co_await pass_on(work);
  }
  std::string out;
  append_answer_head(exchange_.answer().response_head(), {.keep_alive = true}, out, drop_none);
  if (co_await caller_.send(std::move(out), 101, Next::KeepAlive) == Next::Gone) {
    co_return Next::Gone;
  }
  const ConnPtr caller = caller_.take_conn();
  const ConnPtr application = exchange_.take_conn();
  Clock& clock = front_.clock();
  const Duration idle = front_.config().front.idle_timeout;
  co_await join(copy_quietly(*caller, *application, clock, idle),
                copy_quietly(*application, *caller, clock, idle));
  co_return Next::Gone;
}

}  // namespace mesclun::companion
