// The part of an Exchange that carries the request's body from the client to the instance.
#include "gateway/exchange.h"

#include <fmt/format.h>

namespace mesclun::gateway {

namespace {

size_t total(const std::vector<std::string_view>& pieces) {
  size_t bytes = 0;
  for (const std::string_view piece : pieces) bytes += piece.size();
  return bytes;
}

}  // namespace

Refusal Exchange::body_too_large() const {
  return {413, "body_too_large",
          fmt::format("the body is over {} bytes", proxy_.limits().body_bytes_max)};
}

Exchange::MaybeRefusal Exchange::take_early_body() {
  if (request_.body_done()) {
    body_ = BodyState::Sent;
    return std::nullopt;
  }
  if (plan_.framing.length > proxy_.limits().body_bytes_max) return body_too_large();
  ClientInput& input = client_->input();
  std::vector<std::string_view> pieces;
  const Result<HttpParser::Step> step = request_.parse_body(input.bytes(), pieces);
  if (!step) return Refusal{400, "bad_request", step.error().message};
  body_bytes_ = total(pieces);
  const bool chunked = plan_.framing.kind == BodyFraming::Kind::Chunked;
  if (chunked && body_bytes_ > 0) append_chunk_start(body_bytes_, request_bytes_);
  for (const std::string_view piece : pieces) request_bytes_ += piece;
  if (chunked && body_bytes_ > 0) request_bytes_ += kChunkEnd;
  input.consume(step->consumed);
  if (request_.body_done()) {
    if (chunked) append_last_chunk(request_.trailers(), request_bytes_);
    body_ = BodyState::Sent;
  }
  return std::nullopt;
}

Task<Result<>> Exchange::send_body(std::shared_ptr<Exchange> self) {
  const BodyState state = co_await self->send_rest_of_body();
  body_ended(state);
  co_return Result<>();
}

Task<Exchange::BodyState> Exchange::send_rest_of_body() {
  ClientInput& input = client_->input();
  while (!request_.body_done()) {
    if (input.bytes().size() <= body_unusable_) {
      // While the client is waited for, the instance owes nothing.
      if (!head_arrived_) stream_->set_deadline(TimePoint::max());
      client_->conn().set_deadline(body_deadline());
      const Result<bool> more = co_await input.more(body_unusable_);
      if (body_ != BodyState::Sending) co_return BodyState::Stopped;
      if (!more && more.code() == ErrorCode::DeadlineExceeded) co_return BodyState::ClientSlow;
      if (!more || !*more) co_return BodyState::ClientGone;
    }
    const BodyState state = co_await send_piece(input.take());
    if (state != BodyState::Sending) co_return state;
  }
  co_return BodyState::Sent;
}

Task<Exchange::BodyState> Exchange::send_piece(std::string bytes) {
  std::vector<std::string_view> pieces;
  const Result<HttpParser::Step> step = request_.parse_body(bytes, pieces);
  if (!step) co_return BodyState::Malformed;
  const size_t size = total(pieces);
  body_bytes_ += size;
  if (body_bytes_ > proxy_.limits().body_bytes_max) co_return BodyState::TooLarge;

  const bool chunked = plan_.framing.kind == BodyFraming::Kind::Chunked;
  std::string start;
  std::string end;
  if (chunked && size > 0) {
    append_chunk_start(size, start);
    end += kChunkEnd;
  }
  if (chunked && request_.body_done()) append_last_chunk(request_.trailers(), end);
  std::vector<asio::const_buffer> buffers;
  buffers.reserve(pieces.size() + 2);
  buffers.push_back(asio::buffer(start));
  for (const std::string_view piece : pieces) buffers.push_back(asio::buffer(piece));
  buffers.push_back(asio::buffer(end));

  const TimePoint before = now();
  if (!head_arrived_) stream_->set_deadline(before + proxy_.limits().stream_idle_timeout);
  const Result<> written = co_await stream_->write(buffers);
  body_held_up_ += now() - before;
  if (body_ != BodyState::Sending) co_return BodyState::Stopped;
  if (!written) co_return BodyState::UpstreamFailed;
  const std::string_view rest = std::string_view(bytes).substr(step->consumed);
  client_->input().put_back(rest);
  body_unusable_ = rest.size();
  co_return BodyState::Sending;
}

// A client may pause, but not drip: on average it keeps a rate, not counting what the instance held
// up. Once the answer streams beside the body, only silence counts.
TimePoint Exchange::body_deadline() const {
  const ProxyLimits& limits = proxy_.limits();
  if (head_arrived_) return now() + limits.stream_idle_timeout;
  const auto earned = std::chrono::seconds(body_bytes_ / limits.body_bytes_per_second_min);
  return std::min(now() + limits.body_idle_timeout,
                  body_started_ + limits.body_idle_timeout + body_held_up_ + earned);
}

void Exchange::body_ended(BodyState state) {
  if (body_ != BodyState::Sending) return;
  body_ = state;
  client_->input().bulk = false;
  if (group_) group_->stats.bytes_in += body_bytes_;
  if (state != BodyState::Sent && state != BodyState::UpstreamFailed) {
    stream_->abort();
    return;
  }
  client_->conn().set_deadline(TimePoint::max());
  if (!head_arrived_ && state == BodyState::Sent) {
    stream_->set_deadline(now() + response_timeout());
  }
}

}  // namespace mesclun::gateway
