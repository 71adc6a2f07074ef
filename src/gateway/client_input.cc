#include "gateway/client_input.h"

namespace mesclun::gateway {

namespace {

constexpr size_t kBulkBytes = 32 * 1024;
constexpr Duration kLook = 500ms;
// A read that began only now has not heard that it was cancelled.
constexpr Duration kTakeOverLook = 10ms;
// An idle connection holds no more than this.
constexpr size_t kSmallBytes = 4 * 1024;
// What it waits with: most requests fit.
constexpr size_t kQuietBytes = 512;

}  // namespace

Task<Result<>> ClientInput::run() {
  co_await read_on();
  over_ = true;
  changed_.notify_all();
  co_return Result<>();
}

Task<void> ClientInput::read_on() {
  std::string piece;
  bool full = false;  // it was too small for what came last
  while (true) {
    if (ahead_.size() >= kAheadMax && !co_await wait_for_room()) {
      if (gone()) {
        changed_.notify_all();
        if (on_gone_) on_gone_();
      }
      co_return;
    }
    if (stopped_) co_return;
    const size_t want = bulk ? kBulkBytes : full ? kSmallBytes : kQuietBytes;
    if (piece.size() > want) free_memory(piece);
    if (piece.size() != want) piece.resize(want);
    const Result<size_t> n = co_await conn_.read_some(asio::buffer(piece));
    if (letting_go_ && !n && n.code() == ErrorCode::Cancelled) {
      end_ = n.error();
      changed_.notify_all();
      co_return;
    }
    letting_go_ = false;
    if (!n || *n == 0) {
      end_ = n ? Result<>() : Result<>(n.error());
      changed_.notify_all();
      if (n && on_gone_) on_gone_();
      if (n) co_await wait_half_closed();
      gone_ = n || n.code() != ErrorCode::DeadlineExceeded;
      if (gone() && on_gone_) on_gone_();
      co_return;
    }
    full = *n == piece.size() || (full && *n > kQuietBytes);
    ahead_.append(piece, 0, *n);
    changed_.notify_all();
  }
}

// Nobody takes what is ahead, and the client's end comes behind it: it is looked for.
Task<bool> ClientInput::wait_for_room() {
  std::optional<TimePoint> ended;
  while (ahead_.size() >= kAheadMax && !stopped_) {
    const TimePoint now = clock_.now();
    const Conn::Peer peer = conn_.peer();
    if (peer == Conn::Peer::SendsNoMore && !ended) ended = now;
    if (peer == Conn::Peer::Gone || (ended && now - *ended >= half_close_timeout_)) {
      end_ = Error::unavailable("the client has left");
      gone_ = true;
      co_return false;
    }
    if (!co_await room_.wait_until(clock_, now + kLook)) co_return false;
  }
  co_return !stopped_;
}

Task<void> ClientInput::wait_half_closed() {
  const TimePoint end = clock_.now() + half_close_timeout_;
  while (!stopped_ && clock_.now() < end) {
    if (!co_await room_.wait_until(clock_, end)) co_return;
  }
}

void ClientInput::stop() {
  stopped_ = true;
  room_.notify_all();
}

Task<Result<bool>> ClientInput::fill() {
  const uint64_t interrupts = interrupts_;
  while (!fill_now()) {
    if (interrupts_ != interrupts) co_return Error::cancelled();
    if (end_) {
      if (!*end_) co_return end_->error();
      co_return false;
    }
    CO_TRY_DO(co_await changed_.wait());
  }
  co_return true;
}

bool ClientInput::fill_now() {
  if (ahead_.empty()) return false;
  const bool was_full = ahead_.size() >= kAheadMax;
  drop_used();
  if (bytes_.empty()) {
    std::swap(bytes_, ahead_);
  } else {
    bytes_ += ahead_;
  }
  ahead_.clear();
  if (was_full) room_.notify_all();
  return true;
}

void ClientInput::interrupt() {
  ++interrupts_;
  changed_.notify_all();
}

void ClientInput::let_go() {
  if (!bytes().empty() || !ahead_.empty() || end_) return;
  letting_go_ = true;
  conn_.cancel_read();
}

Task<std::string> ClientInput::take_over() {
  letting_go_ = true;
  stop();
  while (!over_) {
    conn_.cancel_read();
    if (!co_await changed_.wait_until(clock_, clock_.now() + kTakeOverLook)) break;
  }
  std::string all = take_rest();
  co_return all + std::exchange(ahead_, {});
}

void ClientInput::trim() {
  if (bytes().empty() && bytes_.capacity() > kSmallBytes) drop_used(), free_memory(bytes_);
  if (ahead_.empty() && ahead_.capacity() > kSmallBytes) free_memory(ahead_);
}

}  // namespace mesclun::gateway
