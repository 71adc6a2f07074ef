#include "gateway/answer_relay.h"

#include <fmt/format.h>

namespace mesclun::gateway {

namespace {

constexpr size_t kAnswerHeadBytesMax = 64 * 1024;
constexpr Duration kInterimTimeout = 10s;  // for the client to take one
constexpr size_t kSliceBytesMax = 64 * 1024;

Refusal bad_answer(std::string detail) {
  return {502, "bad_response", std::move(detail)};
}

}  // namespace

Task<MaybeRefusal> AnswerRelay::read_head(link::TunnelStream& stream) {
  stream_ = &stream;
  scratch_.answer.read_from(stream);
  reader_.emplace(
      HttpReader::response(scratch_.answer, kAnswerHeadBytesMax, request_.plan.to_head));
  for (int interim = 0; interim < HttpReader::kInterimMax; ++interim) {
    const Result<bool> whole = co_await reader_->read_head();
    if (!whole && whole.code() == ErrorCode::InvalidArgument) {
      co_return bad_answer(whole.error().message);
    }
    if (!whole) co_return broken(whole.error());
    if (!*whole) co_return broken(Error::unavailable("the stream ended"));
    if (is_upgrade() && !request_.plan.websocket) {
      co_return bad_answer("an upgrade that nobody asked for");
    }
    if (!reader_->is_interim()) {
      body_.answer_began();
      request_.answered = request_.now();
      co_return std::nullopt;
    }
    if (!request_.plan.http_1_0) {
      std::string out;
      append_interim_head(head(), out);
      request_.client.conn().set_deadline(request_.now() + kInterimTimeout);
      if (!co_await request_.client.conn().write(out)) co_return nobody();
      request_.client.conn().set_deadline(body_.deadline());
    }
    reader_->next_answer();
  }
  co_return bad_answer("too many interim answers");
}

Refusal AnswerRelay::broken(const Error& error) const {
  if (request_.client_gone() || error.code == ErrorCode::Cancelled) return nobody();
  if (MaybeRefusal refusal = body_.refusal()) return *std::move(refusal);
  if (error.code != ErrorCode::DeadlineExceeded) {
    return {502, "reset", "the instance broke off before it answered"};
  }
  if (!body_.sent()) return {504, "send_timeout", "the instance stopped taking the request"};
  return {524, "response_timeout",
          fmt::format("no answer within {} ms", to_millis(request_.response_timeout()))};
}

MaybeRefusal AnswerRelay::untold() const {
  if (broken_.empty()) return std::nullopt;
  return bad_answer(broken_);
}

void AnswerRelay::append_head() {
  append_relayed_head(head(), plan_, scratch_.request_id, scratch_.head_out);
}

Task<bool> AnswerRelay::relay() {
  const bool may_keep = request_.plan.keep_alive && body_.sent() && !request_.proxy.stopping();
  plan_ = plan_answer(reader_->framing(), !reader_->body_done(), request_.plan.http_1_0, may_keep);
  append_head();
  while (true) {
    scratch_.pieces.clear();
    const Result<bool> ended = reader_->take_body(scratch_.pieces);
    if (!ended) {
      if (!scratch_.head_out.empty()) broken_ = ended.error().message;
      co_return false;
    }
    if (!scratch_.head_out.empty() || !scratch_.pieces.empty() || *ended) {
      frame_pieces(*ended);
      const size_t sent = request_.client.conn().write_now(scratch_.buffers);
      if (sent < asio::buffer_size(scratch_.buffers) && !co_await write_rest(sent)) {
        co_return false;
      }
    }
    scratch_.head_out.clear();
    if (*ended) co_return true;
    const ProxyLimits& limits = request_.limits();
    stream_->set_deadline(request_.now() + (request_.client.input().half_closed()
                                                ? limits.half_close_timeout
                                                : limits.stream_idle_timeout));
    if (!co_await reader_->fill_body()) co_return false;
  }
}

// Of the buffers, without the first `sent` bytes. A slice at a time, each with a time of its own:
// what counts is that bytes move.
Task<bool> AnswerRelay::write_rest(size_t sent) {
  Conn& conn = request_.client.conn();
  const Duration idle = request_.limits().stream_idle_timeout;
  bool taken = true;
  for (asio::const_buffer buffer : scratch_.buffers) {
    const size_t done = std::min(sent, buffer.size());
    sent -= done;
    buffer += done;
    while (buffer.size() > 0 && taken) {
      const asio::const_buffer slice = asio::buffer(buffer, kSliceBytesMax);
      conn.set_idle_deadline(request_.now() + idle, idle);
      taken = (co_await conn.write(std::span(&slice, 1))).has_value();
      buffer += slice.size();
    }
  }
  // It holds for reading too, and the client may be silent as long as the answer lasts.
  conn.set_deadline(body_.deadline());
  co_return taken;
}

void AnswerRelay::frame_pieces(bool last) {
  size_t size = 0;
  for (const std::string_view piece : scratch_.pieces) size += piece.size();
  request_.bytes_out += size;
  scratch_.end_out.clear();
  if (plan_.framing == BodyFraming::Kind::Chunked) {
    if (size > 0) {
      append_chunk_start(size, scratch_.head_out);
      scratch_.end_out += kChunkEnd;
    }
    if (last) append_last_chunk(reader_->trailers(), scratch_.end_out);
  }
  std::vector<asio::const_buffer>& buffers = scratch_.buffers;
  buffers.clear();
  if (!scratch_.head_out.empty()) buffers.push_back(asio::buffer(scratch_.head_out));
  for (const std::string_view piece : scratch_.pieces) buffers.push_back(asio::buffer(piece));
  if (!scratch_.end_out.empty()) buffers.push_back(asio::buffer(scratch_.end_out));
}

std::string AnswerRelay::upgrade_bytes() {
  append_head();
  return scratch_.head_out + scratch_.answer.take_rest();
}

}  // namespace mesclun::gateway
