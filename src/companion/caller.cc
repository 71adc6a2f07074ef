#include "companion/caller.h"

#include <algorithm>

#include "base/service.h"
#include "http/h2_preface.h"

namespace mesclun::companion {

namespace {

constexpr size_t kHeadBytesMax = 64 * 1024;
constexpr Duration kBodyIdle = 30s;
constexpr Duration kWriteIdle = 30s;
// From a byte that we write to the reset that tells us that nobody reads it: from the same machine,
// and ten times as much from afar.
constexpr Duration kResetWithin = 100ms;
constexpr Duration kLook = 500ms;
constexpr size_t kReadAheadMax = 64 * 1024;

}  // namespace

std::string_view CallerRequest::path() const {
  const std::string_view target = head.target;
  return target.substr(0, target.find('?'));
}

BodyFraming CallerRequest::framing_as_whole() const {
  if (!has_body()) return framing;
  return {.kind = BodyFraming::Kind::Length, .length = body.size()};
}

Caller::Caller(IdleConns::Entry entry, Front& front)
    : entry_(std::move(entry)),
      conn_(&entry_.conn()),
      front_(front),
      clock_(front.clock()),
      input_(*conn_),
      reader_(HttpReader::request(input_, kHeadBytesMax)) {}

Task<Result<bool>> Caller::is_http2() {
  co_return co_await begins_with(input_, kH2PrefaceLine);
}

Task<Result<bool>> Caller::read_head() {
  request_ = CallerRequest{};
  answering_ = false;
  reader_ = HttpReader::request(input_, kHeadBytesMax);
  CO_TRY(bool whole, reader_.take_head());
  // Most heads have come at once, and a task costs as much as parsing one.
  if (!whole) {
    CO_TRY(whole, co_await reader_.read_head());
    if (!whole) co_return false;
  }
  request_.head = std::move(reader_.request_head());
  request_.keep_alive = reader_.keep_alive();
  request_.framing = reader_.framing();
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
  if (!reader_.body_done() && request_.head.headers.has_token("Expect", "100-continue")) {
    if (!co_await conn_->write("HTTP/1.1 100 Continue\r\n\r\n")) {
      co_return Refusal{400, "bad_request", "the caller left", {}};
    }
  }
  std::vector<std::string_view> pieces;
  const TimePoint began = clock_.now();
  while (true) {
    pieces.clear();
    const Result<bool> ended = reader_.take_body(pieces);
    if (!ended) co_return Refusal{400, "bad_request", ended.error().message, {}};
    uint64_t bytes = 0;
    for (std::string_view piece : pieces) bytes += piece.size();
    if (request_.body.size() + bytes > max) co_return too_large;
    if (bytes > 0 && !share.grow(bytes)) {
      co_return Refusal{config.refused_status, "buffer_full",
                        "the bodies of waiting requests fill front.buffer_max", 5s};
    }
    for (std::string_view piece : pieces) request_.body += piece;
    if (*ended) co_return std::nullopt;
    conn_->set_deadline(std::min(clock_.now() + kBodyIdle, slowest_end(began)));
    const Result<> more = co_await reader_.fill_body();
    if (!more) {
      const bool slow = more.code() == ErrorCode::DeadlineExceeded;
      co_return Refusal{slow ? 408 : 400,
                        "bad_request",
                        slow ? "the body came too slowly" : "the body ends too early",
                        {}};
    }
  }
}

// One byte after the other would hold a place, and a share of front.buffer_max, for as long as it likes.
TimePoint Caller::slowest_end(TimePoint began) const {
  const uint64_t rate_min = front_.config().front.rate_min;
  if (rate_min == 0) return TimePoint::max();
  constexpr uint64_t kLong = 1'000'000;
  return began + kBodyIdle +
         std::chrono::seconds(std::min<uint64_t>(request_.body.size() / rate_min, kLong));
}

Task<void> Caller::watch(bool& gone) {
  while (true) {
    if (input_.bytes().size() >= kReadAheadMax) {
      // Its next requests wait in the kernel, and so does its end.
      if (conn_->peer() != Conn::Peer::There) break;
      if (!co_await clock_.sleep_for(kLook)) co_return;
      continue;
    }
    const Result<bool> more = co_await input_.fill();
    if (more && *more) continue;  // its next request, ahead of time
    if (more) break;
    gone = more.code() != ErrorCode::Cancelled;
    co_return;
  }
  gone = !co_await still_listens();
  if (!gone) co_await until_cancelled();
}

// After the end of what the caller sends. A program that has closed its connection and one that
// only sends no more look alike, until something is written to them: the kernel answers for the
// first one, with a reset. An interim answer may always be written, and every client of HTTP/1.1
// passes over it (RFC 9110 §15.2).
Task<bool> Caller::still_listens() {
  constexpr std::string_view kInterim = "HTTP/1.1 100 Continue\r\n\r\n";
  if (conn_->peer() == Conn::Peer::Gone) co_return false;
  if (answering_ || request_.head.http_1_0) co_return true;
  const asio::const_buffer buffer(kInterim.data(), kInterim.size());
  if (conn_->write_now(std::span(&buffer, 1)) != kInterim.size()) co_return false;
  for (const Duration pause : {kResetWithin, 10 * kResetWithin}) {
    if (!co_await clock_.sleep_for(pause)) co_return true;
    if (conn_->peer() == Conn::Peer::Gone) co_return false;
  }
  co_return true;
}

Task<Next> Caller::refuse(Refusal refusal, bool body_unread) {
  ++front_.stats().refusals[refusal.code];
  const bool keep_alive = request_.keep_alive && !body_unread;
  std::string out;
  append_refusal(refusal, keep_alive, request_.to_head(), out);
  const Next after = body_unread ? Next::Linger : keep_alive ? Next::KeepAlive : Next::Close;
  co_return co_await send(std::move(out), refusal.status, after);
}

Task<void> Caller::linger() {
  return mesclun::linger(*conn_, input_, clock_);
}

void Caller::answer_begins(int status) {
  answering_ = true;
  ++front_.stats().answers[status];
}

Task<Next> Caller::send(std::string bytes, int status, Next after) {
  answer_begins(status);
  conn_->set_idle_deadline(clock_.now() + kWriteIdle, kWriteIdle);
  if (!co_await conn_->write(bytes)) co_return Next::Gone;
  co_return after;
}

}  // namespace mesclun::companion
