#include "companion/relay.h"

#include <array>
#include <span>
#include <vector>

#include "base/race.h"
#include "base/service.h"

namespace mesclun::companion {

namespace {

// More pieces of a body than these are small, and cheaper to copy.
constexpr size_t kPiecesMax = 4;

Task<void> copy_quietly(Conn& from, Conn& to, Clock& clock, Duration idle) {
  const Result<uint64_t> copied = co_await copy_stream(from, to, clock, idle);
  // After an error in one direction the other has nothing to say either.
  if (!copied) {
    from.close();
    to.close();
  }
}

Task<void> write_out(AnswerBuffer& buffer, bool& whole) {
  whole = co_await buffer.write_out();
}

}  // namespace

// One write to the caller: what stands before the pieces of a body, they themselves where they lie,
// and what stands after them.
struct Relay::Output {
  std::string before;
  std::vector<std::string_view> pieces;
  std::string after;
  std::array<asio::const_buffer, kPiecesMax + 2> buffers;

  std::span<const asio::const_buffer> gather();
  void clear();
};

std::span<const asio::const_buffer> Relay::Output::gather() {
  if (pieces.size() > kPiecesMax) {
    for (const std::string_view piece : pieces) before += piece;
    pieces.clear();
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

void Relay::Output::clear() {
  before.clear();
  pieces.clear();
  after.clear();
}

Task<void> Relay::run(Next& next) {
  const CallerRequest& request = caller_.request();
  const FrontConfig& config = front_.config().front;
  AppRequest asked{
      .method = request.head.method, .body = request.body, .deadline = request.deadline};
  append_forward_head(request.head, config, request.framing_as_whole(),
                      request.deadline - front_.clock().now(), asked.head);
  const Result<> ran = co_await exchange_.run(asked, [this, &next] { return answered(next); });
  if (ran || ran.code() == ErrorCode::Cancelled) co_return;
  const bool late = ran.code() == ErrorCode::DeadlineExceeded;
  end_.counts = late;
  // A caller in a hurry is no sign of a broken application.
  end_.error = !late || request.wish.timeout >= config.timeout;
  tell_done();
  next = co_await caller_.refuse(application_refusal(ran.error(), config), false);
}

Task<void> Relay::answered(Next& next) {
  const ResponseHead& head = exchange_.answer().response_head();
  end_.answered = true;
  end_.error = head.status >= 500;
  if (head.status == 101) {
    next = co_await upgrade();
  } else {
    next = co_await pass_on();
  }
}

Task<Next> Relay::upgrade() {
  if (!caller_.request().is_websocket()) {
    end_.error = true;
    tell_done();
    const Error why = Error::invalid("it answered 101, which nobody had asked for");
    co_return co_await caller_.refuse(application_refusal(why, front_.config().front), false);
  }
  tell_done();
  std::string out;
  append_answer_head(exchange_.answer().response_head(), {.keep_alive = true}, out, drop_none);
  co_return co_await caller_.send(std::move(out), 101, Next::Upgraded);
}

Task<void> Relay::splice() {
  const ConnPtr caller = caller_.take_conn();
  const ConnPtr application = exchange_.take_conn();
  Clock& clock = front_.clock();
  const Duration idle = front_.config().front.idle_timeout;
  co_await join(copy_quietly(*caller, *application, clock, idle),
                copy_quietly(*application, *caller, clock, idle));
}

Task<Next> Relay::pass_on() {
  const CallerRequest& request = caller_.request();
  HttpReader& answer = exchange_.answer();
  ResponseHead& head = answer.response_head();
  if (request.wants_load_report()) add_load_report(front_.load_report(), head.headers);
  const FrontConfig& config = front_.config().front;
  Clock& clock = front_.clock();
  const AnswerPlan plan =
      plan_answer(answer.framing(), !answer.body_done(), request.head.http_1_0, request.keep_alive);
  in_chunks_ = plan.framing == BodyFraming::Kind::Chunked;
  Output out;
  append_answer_head(head, plan, out.before, drop_none);
  meter_.begin(head.headers);
  AnswerBuffer buffer(co_await asio::this_coro::executor, caller_.conn(), clock, config,
                      front_.bodies());
  bool ended = false;
  bool begun = false;
  while (true) {
    const Result<bool> taken = take(out);
    if (!taken && !begun) {
      co_return co_await caller_.refuse(application_refusal(taken.error(), config), false);
    }
    // Broken off in the middle: the caller must see that, so its connection breaks too.
    if (!taken) co_return Next::Broken;
    ended = *taken;
    if (!begun) caller_.answer_begins(head.status);
    begun = true;
    buffer.put(out.gather());
    out.clear();
    if (ended || buffer.is_behind()) break;
    exchange_.conn().set_deadline(clock.now() + config.idle_timeout);
    if (!co_await answer.fill_body()) {
      application_is_done(false);
      co_return Next::Broken;
    }
  }
  if (buffer.is_behind()) {
    const Front::AnswerUnderWay under_way(front_);
    bool whole = false;
    if (ended) {
      buffer.end(true);
      whole = co_await buffer.write_out();
    } else {
      co_await race(read_ahead(buffer), write_out(buffer, whole));
    }
    if (!whole) co_return Next::Broken;
  }
  co_return plan.keep_alive ? Next::KeepAlive : Next::Close;
}

Result<bool> Relay::take(Output& out) {
  HttpReader& answer = exchange_.answer();
  const Result<bool> ended = answer.take_body(out.pieces);
  if (!ended) {
    application_is_done(false);
    return ended;
  }
  size_t bytes = 0;
  for (const std::string_view piece : out.pieces) {
    meter_.feed(piece);
    bytes += piece.size();
  }
  if (in_chunks_ && bytes > 0) {
    append_chunk_start(bytes, out.before);
    out.after = kChunkEnd;
  }
  if (in_chunks_ && *ended) append_last_chunk(answer.trailers(), out.after, drop_none);
  if (*ended) application_is_done(true);
  return ended;
}

Task<void> Relay::read_ahead(AnswerBuffer& buffer) {
  Clock& clock = front_.clock();
  Output out;
  while (true) {
    if (!co_await buffer.wait_for_room()) co_return;
    exchange_.conn().set_deadline(clock.now() + front_.config().front.idle_timeout);
    const Result<> filled = co_await exchange_.answer().fill_body();
    if (!filled && filled.code() == ErrorCode::Cancelled) co_return;
    if (!filled) application_is_done(false);
    const Result<bool> ended = filled ? take(out) : Result<bool>(filled.error());
    if (ended) buffer.put(out.gather());
    out.clear();
    if (!ended || *ended) {
      buffer.end(ended.has_value());
      break;
    }
  }
  co_await until_cancelled();
}

void Relay::tell_done() {
  if (end_.error) end_.input = caller_.request().input();
  done_(end_);
}

void Relay::application_is_done(bool whole) {
  end_.counts = whole;
  if (whole && exchange_.answer().response_head().status < 400) end_.work = meter_.finish();
  if (!whole) end_.error = true;
  // The pieces taken last lie in its input, which outlives its connection.
  if (whole) exchange_.finish();
  tell_done();
}

}  // namespace mesclun::companion
