#include "companion/caller.h"

#include "base/service.h"

namespace mesclun::companion {

namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;
constexpr Duration kBodyIdle = 30s;
constexpr Duration kWriteTimeout = 30s;
constexpr size_t kReadAheadMax = 64 * 1024;
constexpr size_t kReadBytes = 8 * 1024;

}  // namespace

std::string_view CallerRequest::path() const {
  const std::string_view target = head.target;
  return target.substr(0, target.find('?'));
}

Caller::Caller(ConnPtr conn, Front& front)
    : conn_(std::move(conn)),
      front_(front),
      clock_(front.clock()),
      parser_(HttpParser::request(kHeadBytesMax)) {}

Task<Result<bool>> Caller::fill() {
  // Not into a buffer of this frame, which would be allocated anew for each read.
  const size_t used = input_.size();
  input_.resize(used + (request_.body.size() >= kReadBytes ? 8 * kReadBytes : kReadBytes));
  const Result<size_t> n =
      co_await conn_->read_some(asio::buffer(input_.data() + used, input_.size() - used));
  input_.resize(used + (n ? *n : 0));
  if (!n) co_return n.error();
  co_return *n > 0;
}

Task<Result<bool>> Caller::is_http2() {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n";
  while (input_.size() < kPreface.size() && kPreface.starts_with(input_)) {
    CO_TRY(const bool more, co_await fill());
    if (!more) co_return false;
  }
  co_return input_.starts_with(kPreface);
}

Task<Result<bool>> Caller::read_head() {
  request_ = CallerRequest{};
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
  request_.framing = parser_.framing();
  co_return true;
}

Task<std::optional<Refusal>> Caller::read_body(BodyBuffer::Share& share) {
  const FrontConfig& config = front_.config().front;
  const uint64_t max = config.body_max;
  const Refusal too_large{413,
                          "body_too_large",
                          fmt::format("the body is larger than {} bytes (front.body_max)", max),
                          {}};
  const BodyFraming framing = request_.framing;
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
    if (bytes > 0 && !share.grow(bytes)) {
      co_return Refusal{config.refused_status, "buffer_full",
                        "the bodies of waiting requests fill front.buffer_max", 5s};
    }
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

Task<void> Caller::watch(bool& gone) {
  while (input_.size() < kReadAheadMax) {
    const Result<bool> more = co_await fill();
    if (more && *more) continue;  // its next request, ahead of time
    if (more || more.code() != ErrorCode::Cancelled) gone = true;
    co_return;
  }
  co_await until_cancelled();
}

Task<Next> Caller::refuse(Refusal refusal, bool body_unread) {
  ++front_.stats().refusals[refusal.code];
  const bool keep_alive = request_.keep_alive && !body_unread;
  std::string out;
  append_refusal(refusal, keep_alive, request_.to_head(), out);
  const Next after = body_unread ? Next::Linger : keep_alive ? Next::KeepAlive : Next::Close;
  co_return co_await send(std::move(out), refusal.status, after);
}

Task<Next> Caller::send(std::string bytes, int status, Next after) {
  ++front_.stats().answers[status];
  conn_->set_deadline(clock_.now() + kWriteTimeout);
  if (!co_await conn_->write(bytes)) co_return Next::Gone;
  co_return after;
}

}  // namespace mesclun::companion
