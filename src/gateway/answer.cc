// The part of an Exchange that brings the answer from the instance to the client.
#include "gateway/exchange.h"

#include <fmt/format.h>

namespace mesclun::gateway {

namespace {

constexpr size_t kAnswerHeadBytesMax = 64 * 1024;
constexpr int kInterimMax = 16;

Refusal bad_answer(std::string detail) {
  return {502, "bad_response", std::move(detail)};
}

}  // namespace

Task<Result<bool>> Exchange::fill_answer() {
  if (answer_.empty()) {
    if (stream_->read_all_now(answer_)) co_return true;
    co_return co_await stream_->read_all(answer_);
  }
  spare_.clear();
  CO_TRY(const bool more, co_await stream_->read_all(spare_));
  answer_ += spare_;
  co_return more;
}

// Why there is no (whole) head of an answer.
Refusal Exchange::broken_answer(const Error& error) const {
  if (client_gone() || error.code == ErrorCode::Cancelled) return nobody();
  switch (body_) {
    case BodyState::ClientSlow:
      return {408, "slow_request", "the body of the request came too slowly"};
    case BodyState::ClientGone:
      return nobody();
    case BodyState::Malformed:
      return {400, "bad_request", "the body of the request is malformed"};
    case BodyState::TooLarge:
      return body_too_large();
    default:
      break;
  }
  if (error.code != ErrorCode::DeadlineExceeded) {
    return {502, "reset", "the instance broke off before it answered"};
  }
  if (body_ != BodyState::Sent) {
    return {504, "send_timeout", "the instance stopped taking the request"};
  }
  return {524, "response_timeout",
          fmt::format("no answer within {} ms", group_->route().server_response_timeout_ms)};
}

Task<Exchange::MaybeRefusal> Exchange::read_answer_head() {
  for (int interim = 0; interim < kInterimMax; ++interim) {
    response_.emplace(HttpParser::response(kAnswerHeadBytesMax, plan_.to_head));
    while (true) {
      const Result<HttpParser::Step> step = response_->parse_head(answer_);
      if (!step) co_return bad_answer(step.error().message);
      if (step->consumed == answer_.size()) {
        answer_.clear();
      } else {
        answer_.erase(0, step->consumed);
      }
      if (step->done) break;
      const Result<bool> more = co_await fill_answer();
      if (!more) co_return broken_answer(more.error());
      if (!*more) co_return broken_answer(Error::unavailable("the stream ended"));
      answer_began_ = true;
    }
    if (response_->response_head().headers.size() > kHeadersMax) {
      co_return bad_answer(fmt::format("more than {} headers", kHeadersMax));
    }
    const int status = response_->response_head().status;
    if (status == 101 && !plan_.websocket) co_return bad_answer("an upgrade that nobody asked for");
    if (status >= 200 || status == 101) {
      head_arrived_ = true;
      co_return std::nullopt;
    }
    if (MaybeRefusal refusal = co_await forward_interim()) co_return refusal;
  }
  co_return bad_answer("too many interim answers");
}

Task<Exchange::MaybeRefusal> Exchange::forward_interim() {
  if (plan_.http_1_0) co_return std::nullopt;
  std::string out;
  append_interim_head(response_->response_head(), out);
  if (!co_await client_->conn().write(out)) co_return nobody();
  co_return std::nullopt;
}

Task<Exchange::End> Exchange::relay_answer() {
  const bool has_body = !response_->body_done();
  const bool may_keep = plan_.keep_alive && body_ == BodyState::Sent && !proxy_.stopping();
  response_plan_ = plan_response(plan_, response_->framing(), has_body, may_keep);
  append_response_head(response_->response_head(), plan_, response_plan_, head_out_);
  group_->stats.count_answer(response_->response_head().status);
  co_return finish(co_await relay_body());
}

Task<bool> Exchange::relay_body() {
  bool ended = response_->body_done();
  while (true) {
    pieces_.clear();
    size_t used = 0;
    if (!ended) {
      const Result<HttpParser::Step> step = response_->parse_body(answer_, pieces_);
      if (!step) co_return false;
      used = step->consumed;
      ended = response_->body_done();
    }
    if (!head_out_.empty() || !pieces_.empty() || ended) {
      frame_pieces(ended);
      const size_t sent = client_->conn().write_now(buffers_);
      if (sent < asio::buffer_size(buffers_) && !co_await write_rest(sent)) co_return false;
    }
    head_out_.clear();
    answer_.erase(0, used);
    if (ended) co_return true;
    stream_->set_deadline(now() + proxy_.limits().stream_idle_timeout);
    const Result<bool> more = co_await fill_answer();
    if (!more) co_return false;
    if (!*more) {
      if (!response_->end_of_stream()) co_return false;
      ended = true;
    }
  }
}

// Of buffers_, without the first `sent` bytes.
Task<bool> Exchange::write_rest(size_t sent) {
  std::span<asio::const_buffer> rest(buffers_);
  while (sent >= rest.front().size()) {
    sent -= rest.front().size();
    rest = rest.subspan(1);
  }
  rest.front() += sent;
  client_->conn().set_deadline(now() + proxy_.limits().stream_idle_timeout);
  const Result<> written = co_await client_->conn().write(rest);
  // It holds for reading too, and the client may be silent as long as the answer lasts.
  client_->conn().set_deadline(body_ == BodyState::Sending ? body_deadline() : TimePoint::max());
  co_return written.has_value();
}

void Exchange::frame_pieces(bool last) {
  size_t size = 0;
  for (const std::string_view piece : pieces_) size += piece.size();
  group_->stats.bytes_out += size;
  end_out_.clear();
  if (response_plan_.framing == BodyFraming::Kind::Chunked) {
    if (size > 0) {
      append_chunk_start(size, head_out_);
      end_out_ += kChunkEnd;
    }
    if (last) append_last_chunk(response_->trailers(), end_out_);
  }
  buffers_.clear();
  if (!head_out_.empty()) buffers_.push_back(asio::buffer(head_out_));
  for (const std::string_view piece : pieces_) buffers_.push_back(asio::buffer(piece));
  if (!end_out_.empty()) buffers_.push_back(asio::buffer(end_out_));
}

Exchange::End Exchange::finish(bool complete) {
  client_->input().on_gone = nullptr;
  const bool sent = body_ == BodyState::Sent;
  if (body_ == BodyState::Sending) {
    body_ = BodyState::Stopped;
    client_->input().interrupt();
  }
  if (complete && sent && answer_.empty() && response_->keep_alive() && stream_->is_clean()) {
    stream_->set_deadline(TimePoint::max());
    slot_->instance().pool.put(proxy_.limits().pool, now(), std::move(stream_));
  } else if (complete && sent) {
    stream_->close();
  } else {
    stream_->abort();
  }
  slot_.reset();
  if (!complete) {
    // The client must not take what it has for the whole.
    client_->conn().abort();
    return End::Leave;
  }
  if (!sent) return End::LeaveSlowly;
  return response_plan_.keep_alive ? End::KeepAlive : End::Leave;
}

}  // namespace mesclun::gateway
