#include "gateway/request_body.h"

#include <fmt/format.h>

namespace mesclun::gateway {

namespace {

size_t total(const std::vector<std::string_view>& pieces) {
  size_t bytes = 0;
  for (const std::string_view piece : pieces) bytes += piece.size();
  return bytes;
}

}  // namespace

MaybeRefusal RequestBody::take_early(std::string& out) {
  if (reader_.body_done()) {
    state_ = State::Sent;
    request_.plan.kept = true;
    return std::nullopt;
  }
  if (request_.plan.framing.length > request_.limits().body_bytes_max) return too_large();
  std::vector<std::string_view> pieces;
  const Result<bool> ended = reader_.take_body(pieces);
  if (!ended) return Refusal{400, "bad_request", ended.error().message};
  bytes_ = total(pieces);
  if (in_chunks() && bytes_ > 0) append_chunk_start(bytes_, out);
  for (const std::string_view piece : pieces) out += piece;
  if (in_chunks() && bytes_ > 0) out += kChunkEnd;
  if (!*ended) return std::nullopt;
  if (in_chunks()) append_last_chunk(reader_.trailers(), out);
  state_ = State::Sent;
  request_.plan.kept = true;
  return std::nullopt;
}

void RequestBody::send_rest(link::TunnelStream& stream, std::shared_ptr<void> owner) {
  started_ = request_.now();
  keeping_ = request_.plan.repeatable;
  request_.client.input().bulk = true;
  request_.proxy.scope().spawn(send(stream, std::move(owner)));
}

Task<Result<>> RequestBody::send(link::TunnelStream& stream, std::shared_ptr<void>) {
  const State state = co_await send_pieces(stream);
  end(stream, state);
  co_return Result<>();
}

Task<RequestBody::State> RequestBody::send_pieces(link::TunnelStream& stream) {
  std::vector<std::string_view> pieces;
  for (bool ended = reader_.body_done(); !ended;) {
    // While the client is waited for, the instance owes nothing.
    if (!answer_began_) stream.set_deadline(TimePoint::max());
    request_.client.conn().set_deadline(deadline());
    const Result<> more = co_await reader_.fill_body();
    if (state_ != State::Sending) co_return State::Stopped;
    if (!more && more.code() == ErrorCode::DeadlineExceeded) co_return State::ClientSlow;
    if (!more) co_return State::ClientGone;

    pieces.clear();
    const Result<bool> taken = reader_.take_body(pieces);
    if (!taken) co_return State::Malformed;
    ended = *taken;
    const size_t size = total(pieces);
    bytes_ += size;
    if (bytes_ > request_.limits().body_bytes_max) co_return State::TooLarge;
    const TimePoint before = request_.now();
    // And while the instance is waited for, the client does.
    request_.client.conn().set_deadline(TimePoint::max());
    if (!answer_began_) stream.set_deadline(before + request_.limits().stream_idle_timeout);
    const Result<> written = co_await write(stream, pieces, size);
    held_up_ += request_.now() - before;
    if (state_ != State::Sending) co_return State::Stopped;
    if (!written) co_return State::InstanceFailed;
  }
  co_return State::Sent;
}

Task<Result<>> RequestBody::write(link::TunnelStream& stream,
                                  const std::vector<std::string_view>& pieces, size_t size) {
  std::string start;
  std::string end;
  if (in_chunks() && size > 0) {
    append_chunk_start(size, start);
    end += kChunkEnd;
  }
  if (in_chunks() && reader_.body_done()) append_last_chunk(reader_.trailers(), end);
  std::vector<asio::const_buffer> buffers;
  buffers.reserve(pieces.size() + 2);
  buffers.push_back(asio::buffer(start));
  for (const std::string_view piece : pieces) buffers.push_back(asio::buffer(piece));
  buffers.push_back(asio::buffer(end));
  keep(buffers);
  co_return co_await stream.write(buffers);
}

// For another try: what came with the head is there already.
void RequestBody::keep(const std::vector<asio::const_buffer>& buffers) {
  std::string& kept = request_.client.scratch().request;
  keeping_ =
      keeping_ && kept.size() + asio::buffer_size(buffers) <= request_.limits().kept_bytes_max;
  if (!keeping_) return;
  for (const asio::const_buffer& buffer : buffers) {
    kept.append(static_cast<const char*>(buffer.data()), buffer.size());
  }
}

void RequestBody::end(link::TunnelStream& stream, State state) {
  if (state_ != State::Sending) return;
  state_ = state;
  if (state == State::Sent) request_.plan.kept = keeping_;
  request_.client.input().bulk = false;
  if (state != State::Sent && state != State::InstanceFailed) {
    stream.abort();
    return;
  }
  request_.client.conn().set_deadline(TimePoint::max());
  if (!answer_began_ && state == State::Sent) {
    stream.set_deadline(request_.now() + request_.response_timeout());
  }
}

void RequestBody::stop() {
  if (state_ != State::Sending) return;
  state_ = State::Stopped;
  request_.client.input().interrupt();
}

// A client may pause, but not drip: on average it keeps a rate, not counting what the instance held
// up. Once the answer streams beside the body, only silence counts.
TimePoint RequestBody::deadline() const {
  if (state_ != State::Sending) return TimePoint::max();
  const ProxyLimits& limits = request_.limits();
  const TimePoint now = request_.now();
  if (answer_began_) return now + limits.stream_idle_timeout;
  const auto earned = std::chrono::seconds(bytes_ / limits.body_bytes_per_second_min);
  return std::min(now + limits.body_idle_timeout,
                  started_ + limits.body_idle_timeout + held_up_ + earned);
}

MaybeRefusal RequestBody::refusal() const {
  switch (state_) {
    case State::ClientSlow:
      return Refusal{408, "slow_request", "the body of the request came too slowly"};
    case State::ClientGone:
      return nobody();
    case State::Malformed:
      return Refusal{400, "bad_request", "the body of the request is malformed"};
    case State::TooLarge:
      return too_large();
    default:
      return std::nullopt;
  }
}

Refusal RequestBody::too_large() const {
  return {413, "body_too_large",
          fmt::format("the body is over {} bytes", request_.limits().body_bytes_max)};
}

}  // namespace mesclun::gateway
