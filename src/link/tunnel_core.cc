#include "link/tunnel_core.h"

#include <cstring>

#include "base/log.h"
#include "base/race.h"

namespace mesclun::link {

namespace {

constexpr Duration kTick = 100ms;
constexpr size_t kReadBytes = 128 * 1024;
// Frames that a peer provokes without reading any: pongs, resets.
constexpr size_t kUnsentBytesMax = 1024 * 1024;

Error violation(std::string what) {
  return Error::invalid("tunnel: " + std::move(what));
}

}  // namespace

Error tunnel_broke() {
  return {ErrorCode::Unavailable, "the tunnel broke", Cause::Unreachable};
}

TunnelCore::TunnelCore(const asio::any_io_executor& executor, ConnPtr conn, Clock& clock,
                       Tunnel::Connect connect, TunnelLimits limits)
    : executor_(executor),
      clock_(clock),
      connect_(std::move(connect)),
      limits_(limits),
      conn_(std::move(conn)),
      scope_(executor, "tunnel"),
      to_send_(executor),
      heard_(clock.now()),
      pinged_(clock.now()) {}

Task<Result<>> TunnelCore::run() {
  const std::shared_ptr<TunnelCore> self = shared_from_this();
  scope_.spawn(pump(self));
  scope_.spawn(keep(self));
  const Result<> read = co_await read_loop();
  close(read ? Error::unavailable("the peer closed the tunnel") : read.error());
  co_await scope_.stop();
  co_return *why_;
}

void TunnelCore::close(Error why) {
  if (!up_) return;
  up_ = false;
  why_ = std::move(why);
  conn_->close();
  fail_streams();
  to_send_.notify_all();
}

Result<StatePtr> TunnelCore::begin_open(const TunnelTarget& target, Duration limit) {
  if (!up_) return tunnel_broke();
  if (streams_.size() >= limits_.streams_max) {
    return Error{ErrorCode::ResourceExhausted, "too many streams in this tunnel"};
  }
  if (last_id_ == UINT32_MAX) {
    close(Error::unavailable("the tunnel has used all stream numbers"));
    return tunnel_broke();
  }
  auto state = std::make_shared<StreamState>(executor_, ++last_id_);
  state->deadline = clock_.now() + limit;
  streams_.emplace(state->id, state);
  append_open(state->id, target, urgent_);
  wake_pump();
  return state;
}

void TunnelCore::fail_streams() {
  ready_.clear();
  const auto failed = std::move(streams_);
  streams_.clear();
  for (const auto& [id, state] : failed) {
    state->broken = true;
    state->readable.notify_all();
    state->writable.notify_all();
    if (state->on_over) state->on_over();
  }
}

// ---- reading ----

Task<Result<>> TunnelCore::read_loop() {
  std::vector<char> buffer(kReadBytes + kFrameHeadBytes + kFramePayloadMax);
  size_t kept = 0;
  while (true) {
    CO_TRY(const size_t n, co_await conn_->read_some(asio::buffer(buffer) + kept));
    if (n == 0) co_return Result<>();
    std::string_view bytes(buffer.data(), kept + n);
    CO_TRY_DO(take_frames(bytes));
    kept = bytes.size();
    std::memmove(buffer.data(), bytes.data(), kept);
  }
}

Result<> TunnelCore::take_frames(std::string_view& bytes) {
  Frame frame;
  bool any = false;
  while (true) {
    TRY(const bool whole, take_frame(bytes, frame));
    if (!whole) break;
    TRY_DO(on_frame(frame));
    any = true;
  }
  if (any) heard_ = clock_.now();
  if (urgent_.size() + out_.size() > kUnsentBytesMax + limits_.out_bytes_max) {
    return violation("the peer does not read the answers that it asks for");
  }
  return {};
}

Result<> TunnelCore::on_frame(const Frame& frame) {
  switch (frame.type) {
    case FrameType::Ping:
      append_frame(FrameType::Pong, 0, {}, urgent_);
      wake_pump();
      return {};
    case FrameType::Pong:
      return {};
    case FrameType::Open:
      return on_open(frame);
    default:
      break;
  }
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) {
    // We ended it and the peer had not heard yet.
    if (frame.stream <= last_id_) return {};
    return violation(fmt::format("stream {} was never opened", frame.stream));
  }
  const StatePtr state = found->second;
  switch (frame.type) {
    case FrameType::Opened:
      if (connect_ || state->opened) return violation("an unexpected opened frame");
      state->opened = true;
      state->readable.notify_all();
      return {};
    case FrameType::Data:
      return on_data(*state, frame.payload);
    case FrameType::Window:
      return on_window(state, read_window(frame.payload));
    case FrameType::Fin:
      if (state->fin_in || !state->opened) return violation("an unexpected fin frame");
      state->fin_in = true;
      state->readable.notify_all();
      forget_if_over(*state);
      return {};
    default:
      on_reset(state, read_reset(frame.payload));
      return {};
  }
}

Result<> TunnelCore::on_open(const Frame& frame) {
  if (!connect_) return violation("the node opened a stream");
  if (frame.stream <= last_id_) return violation("a stream number was used again");
  TRY(TunnelTarget target, read_open(frame.payload));
  last_id_ = frame.stream;
  // The opener keeps to streams_max; an open may overtake the end of another stream, and connecting
  // goes on for a moment after a reset. A task holds each stream, so tasks are what is counted.
  if (scope_.running() >= 2 * limits_.streams_max) {
    append_reset(frame.stream, ResetCode::Unreachable, out_);
    wake_pump();
    return {};
  }
  auto state = std::make_shared<StreamState>(executor_, frame.stream);
  streams_.emplace(frame.stream, state);
  scope_.spawn(serve_stream(shared_from_this(), std::move(state), std::move(target)));
  return {};
}

Result<> TunnelCore::on_data(StreamState& state, std::string_view payload) {
  if (!state.opened || state.fin_in) return violation("data where none may come");
  if (payload.size() > state.granted) return violation("more data than was allowed");
  state.granted -= static_cast<uint32_t>(payload.size());
  if (state.in_used == state.in.size()) {
    state.in.clear();
    state.in_used = 0;
  }
  state.in.append(payload);
  unread_ += payload.size();
  state.readable.notify_all();
  return {};
}

Result<> TunnelCore::on_window(const StatePtr& state, uint32_t bytes) {
  state->credit += bytes;
  if (bytes == 0 || state->credit > (uint64_t{1} << 31)) return violation("a window out of range");
  if (!state->pending.empty()) offer(state);
  return {};
}

void TunnelCore::on_reset(const StatePtr& state, ResetCode code) {
  state->reset = code;
  state->pending = {};
  streams_.erase(state->id);
  state->readable.notify_all();
  state->writable.notify_all();
  if (state->on_over) state->on_over();
}

void TunnelCore::consumed(StreamState& state, size_t bytes) {
  unread_ -= bytes;
  if (state.fin_in || state.closed || state.over()) return;
  const size_t target = unread_ < limits_.buffered_bytes_max
                            ? std::max(limits_.window_bytes, kWindowInitial)
                            : kWindowInitial;
  const size_t under_way = state.granted + state.unread();
  if (under_way + target / 2 > target) return;
  const auto more = static_cast<uint32_t>(target - under_way);
  state.granted += more;
  append_window(state.id, more, urgent_);
  wake_pump();
}

// ---- writing ----

void TunnelCore::offer(const StatePtr& state) {
  if (state->queued || state->credit == 0) return;
  state->queued = true;
  ready_.push_back(state);
  refill();
}

bool TunnelCore::send_now(StreamState& state, std::span<const asio::const_buffer> buffers) {
  const size_t size = asio::buffer_size(buffers);
  if (size == 0 || size > state.credit || !ready_.empty()) return false;
  if (out_.size() + size > limits_.out_bytes_max) return false;
  state.pending = buffers;
  state.pending_used = 0;
  while (!state.pending.empty()) take_piece(state);
  return true;
}

void TunnelCore::refill() {
  while (!ready_.empty() && out_.size() < limits_.out_bytes_max) {
    const StatePtr state = std::move(ready_.front());
    ready_.pop_front();
    state->queued = false;
    if (state->pending.empty()) continue;  // its writer gave up meanwhile
    take_piece(*state);
    if (state->pending.empty()) {
      state->writable.notify_all();
    } else if (state->credit > 0) {
      state->queued = true;
      ready_.push_back(state);
    }
  }
}

void TunnelCore::take_piece(StreamState& state) {
  size_t room = std::min<uint64_t>(kFramePayloadMax, state.credit);
  // The bytes lie in several buffers, so how many come is known only afterwards: an empty frame
  // goes first, and the length in its head (a u24) is written over at the end.
  const size_t head = out_.size();
  append_frame(FrameType::Data, state.id, {}, out_);
  while (room > 0 && !state.pending.empty()) {
    const asio::const_buffer& buffer = state.pending.front();
    const size_t n = std::min(room, buffer.size() - state.pending_used);
    out_.append(static_cast<const char*>(buffer.data()) + state.pending_used, n);
    room -= n;
    state.pending_used += n;
    if (state.pending_used == buffer.size()) {
      state.pending = state.pending.subspan(1);
      state.pending_used = 0;
    }
  }
  const size_t length = out_.size() - head - kFrameHeadBytes;
  if (length == 0) {  // empty buffers only
    out_.resize(head);
    return;
  }
  state.credit -= length;
  out_[head] = static_cast<char>(length >> 16);
  out_[head + 1] = static_cast<char>(length >> 8);
  out_[head + 2] = static_cast<char>(length);
  wake_pump();
}

void TunnelCore::wake_pump() {
  if (!pump_waits_) return;
  pump_waits_ = false;
  to_send_.notify_all();
}

Task<Result<>> TunnelCore::pump(std::shared_ptr<TunnelCore> self) {
  while (up_) {
    if (urgent_.empty() && out_.empty()) {
      pump_waits_ = true;
      CO_TRY_DO(co_await to_send_.wait());
      continue;
    }
    std::swap(urgent_, urgent_sending_);
    std::swap(out_, out_sending_);
    refill();
    const std::array<asio::const_buffer, 2> buffers = {asio::buffer(urgent_sending_),
                                                       asio::buffer(out_sending_)};
    write_started_ = clock_.now();
    const Result<> written = co_await conn_->write(buffers);
    write_started_ = TimePoint::max();
    urgent_sending_.clear();
    out_sending_.clear();
    if (!written) {
      if (written.code() != ErrorCode::Cancelled) self->close(written.error());
      break;
    }
  }
  co_return Result<>();
}

Task<Result<ConnPtr>> TunnelCore::connect(TunnelTarget target) {
  return within(clock_, limits_.open_timeout, connect_(std::move(target)));
}

void TunnelCore::send_opened(const StatePtr& state) {
  state->opened = true;
  append_frame(FrameType::Opened, state->id, {}, urgent_);
  wake_pump();
}

void TunnelCore::send_fin(const StatePtr& state) {
  if (state->fin_out || state->closed || state->over()) return;
  state->fin_out = true;
  append_frame(FrameType::Fin, state->id, {}, out_);
  wake_pump();
  forget_if_over(*state);
}

void TunnelCore::send_reset(const StatePtr& state, ResetCode code) {
  if (state->closed) return;
  state->closed = true;
  state->pending = {};
  drop_unread(*state);
  if (streams_.erase(state->id) > 0) {
    append_reset(state->id, code, out_);
    wake_pump();
  }
  state->readable.notify_all();
  state->writable.notify_all();
}

void TunnelCore::leave(const StatePtr& state) {
  if (state->closed) return;
  // The opener gave up before the answer: there is nothing to end in good order.
  if (!state->opened) return send_reset(state, ResetCode::Aborted);
  send_fin(state);
  send_reset(state, ResetCode::Closed);
}

void TunnelCore::drop_unread(StreamState& state) {
  unread_ -= state.unread();
  state.in.clear();
  state.in_used = 0;
}

void TunnelCore::forget_if_over(const StreamState& state) {
  if (state.fin_in && state.fin_out) streams_.erase(state.id);
}

// ---- time ----

Task<Result<>> TunnelCore::keep(std::shared_ptr<TunnelCore> self) {
  while (up_) {
    CO_TRY_DO(co_await clock_.sleep_for(kTick));
    const TimePoint now = clock_.now();
    const Duration silent = now - heard_;
    if (silent >= limits_.dead_after) {
      self->close(Error::unavailable("the tunnel fell silent"));
    } else if (write_started_ != TimePoint::max() &&
               now - write_started_ >= limits_.write_timeout) {
      self->close(Error::unavailable("the tunnel takes no more bytes"));
    } else if (silent >= limits_.ping_after && now - pinged_ >= limits_.ping_after) {
      pinged_ = now;
      append_frame(FrameType::Ping, 0, {}, urgent_);
      wake_pump();
    }
    check_deadlines(now);
  }
  co_return Result<>();
}

void TunnelCore::check_deadlines(TimePoint now) {
  for (const auto& [id, state] : streams_) {
    if (state->expired || now < state->deadline) continue;
    state->expired = true;
    state->readable.notify_all();
    state->writable.notify_all();
  }
}

}  // namespace mesclun::link
