#include "base/conn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <deque>
#include <exception>

#include "base/notify.h"

namespace mesclun {

namespace {

class ReadAheadConn final : public Conn {
 public:
  ReadAheadConn(ConnPtr conn, std::string head) : conn_(std::move(conn)), head_(std::move(head)) {}

  Task<Result<size_t>> read_some(asio::mutable_buffer buffer) override {
    if (used_ == head_.size()) co_return co_await conn_->read_some(buffer);
    const size_t n = std::min(buffer.size(), head_.size() - used_);
    std::memcpy(buffer.data(), head_.data() + used_, n);
    used_ += n;
    co_return n;
  }
  Task<Result<>> write(std::span<const asio::const_buffer> buffers) override {
    return conn_->write(buffers);
  }
  size_t write_now(std::span<const asio::const_buffer> buffers) override {
    return conn_->write_now(buffers);
  }
  bool is_clean() const override { return used_ == head_.size() && conn_->is_clean(); }
  Peer peer() const override { return conn_->peer(); }
  void set_deadline(TimePoint when) override { conn_->set_deadline(when); }
  void set_idle_deadline(TimePoint when, Duration idle) override {
    conn_->set_idle_deadline(when, idle);
  }
  uint64_t written() const override { return conn_->written(); }
  bool is_lost_after(uint64_t first) const override { return conn_->is_lost_after(first); }
  void shutdown_write() override { conn_->shutdown_write(); }
  void close() override { conn_->close(); }
  void abort() override { conn_->abort(); }
  bool is_encrypted() const override { return conn_->is_encrypted(); }
  std::string peer_address() const override { return conn_->peer_address(); }
  int release_descriptor() override {
    return used_ == head_.size() ? conn_->release_descriptor() : -1;
  }

 private:
  ConnPtr conn_;
  std::string head_;
  size_t used_ = 0;
};

// One direction of a memory pipe.
struct Pipe {
  Pipe(const asio::any_io_executor& executor, size_t c) : changed(executor), capacity(c) {}
  Notify changed;
  size_t capacity;
  std::string bytes;
  bool ended = false;   // the writer said so
  bool broken = false;  // either side closed
};

// A wait for bytes without a task of its owner; ends when `then` has been called or taken away.
struct PipeWatch {
  std::function<void(bool)> then;
  TimePoint deadline = TimePoint::max();
};

Task<void> watch_pipe(std::shared_ptr<Pipe> pipe, std::shared_ptr<PipeWatch> watch, Clock& clock) {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  while (watch->then) {
    const bool readable = !pipe->bytes.empty();
    if (readable || pipe->broken || pipe->ended || clock.now() >= watch->deadline) {
      const auto then = std::exchange(watch->then, nullptr);
      then(readable);
      co_return;
    }
    if (!co_await pipe->changed.wait_until(clock, watch->deadline)) co_return;
  }
}

class MemoryConn final : public Conn {
 public:
  MemoryConn(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Clock& clock)
      : in_(std::move(in)), out_(std::move(out)), clock_(clock) {}
  ~MemoryConn() override { MemoryConn::close(); }

  Task<Result<size_t>> read_some(asio::mutable_buffer buffer) override {
    const std::shared_ptr<Pipe> pipe = in_;
    const uint64_t cancelled_reads = cancelled_reads_;
    while (pipe->bytes.empty()) {
      if (closed_ || pipe->broken) co_return Error::unavailable("connection closed");
      if (pipe->ended) co_return size_t{0};
      if (clock_.now() >= deadline_) co_return Error::deadline("connection deadline");
      CO_TRY_DO(co_await pipe->changed.wait_until(clock_, deadline_));
      if (cancelled_reads_ != cancelled_reads && pipe->bytes.empty()) co_return Error::cancelled();
    }
    const size_t n = std::min(buffer.size(), pipe->bytes.size());
    std::memcpy(buffer.data(), pipe->bytes.data(), n);
    pipe->bytes.erase(0, n);
    pipe->changed.notify_all();
    co_return n;
  }

  Task<Result<>> write(std::span<const asio::const_buffer> buffers) override {
    const std::shared_ptr<Pipe> pipe = out_;
    for (const asio::const_buffer& buffer : buffers) {
      std::string_view rest(static_cast<const char*>(buffer.data()), buffer.size());
      while (!rest.empty()) {
        if (closed_ || pipe->broken || pipe->ended) {
          co_return Error::unavailable("connection closed");
        }
        if (clock_.now() >= deadline_) co_return Error::deadline("connection deadline");
        const size_t n = std::min(rest.size(), pipe->capacity - pipe->bytes.size());
        if (n == 0) {
          CO_TRY_DO(co_await pipe->changed.wait_until(clock_, deadline_));
          continue;
        }
        pipe->bytes.append(rest.substr(0, n));
        written_ += n;
        rest.remove_prefix(n);
        pipe->changed.notify_all();
      }
    }
    co_return Result<>();
  }

  bool when_readable(std::function<void(bool)> then) override {
    stop_watch();
    watch_ = std::make_shared<PipeWatch>(PipeWatch{std::move(then), deadline_});
    // Owns all it uses, and ends when `then` is taken away.
    asio::co_spawn(in_->changed.executor(), watch_pipe(in_, watch_, clock_),
                   [](const std::exception_ptr& thrown) {
                     if (thrown) std::rethrow_exception(thrown);
                   });
    return true;
  }
  void cancel_read() override {
    ++cancelled_reads_;
    in_->changed.notify_all();
  }

  size_t write_now(std::span<const asio::const_buffer> buffers) override {
    size_t written = 0;
    for (const asio::const_buffer& buffer : buffers) {
      if (closed_ || out_->broken || out_->ended || clock_.now() >= deadline_) break;
      const size_t n = std::min(buffer.size(), out_->capacity - out_->bytes.size());
      out_->bytes.append(static_cast<const char*>(buffer.data()), n);
      written += n;
      if (n < buffer.size()) break;
    }
    written_ += written;
    if (written > 0) out_->changed.notify_all();
    return written;
  }

  bool is_clean() const override {
    return !closed_ && !in_->broken && !in_->ended && in_->bytes.empty() && !out_->broken &&
           clock_.now() < deadline_;
  }
  uint64_t written() const override { return written_; }
  bool is_lost_after(uint64_t first) const override {
    return out_->broken && written_ - out_->bytes.size() <= first;
  }
  Peer peer() const override {
    if (in_->broken || out_->broken) return Peer::Gone;
    return in_->ended ? Peer::SendsNoMore : Peer::There;
  }
  void set_deadline(TimePoint when) override {
    deadline_ = when;
    if (watch_) watch_->deadline = when;
    in_->changed.notify_all();
    out_->changed.notify_all();
  }
  void shutdown_write() override {
    out_->ended = true;
    out_->changed.notify_all();
  }
  void close() override {
    if (closed_) return;
    closed_ = true;
    stop_watch();
    // The peer still reads what was written before; that we write no more is its orderly end.
    out_->ended = true;
    in_->broken = true;
    in_->changed.notify_all();
    out_->changed.notify_all();
  }
  void abort() override {
    out_->broken = true;
    out_->bytes.clear();
    close();
  }
  std::string peer_address() const override { return "memory"; }

 private:
  void stop_watch() {
    if (watch_) watch_->then = nullptr;
  }

  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  Clock& clock_;
  TimePoint deadline_ = TimePoint::max();
  std::shared_ptr<PipeWatch> watch_;
  uint64_t cancelled_reads_ = 0;
  uint64_t written_ = 0;
  bool closed_ = false;
};

}  // namespace

ConnPtr with_read_ahead(ConnPtr conn, std::string head) {
  if (head.empty()) return conn;
  return std::make_unique<ReadAheadConn>(std::move(conn), std::move(head));
}

std::pair<ConnPtr, ConnPtr> memory_conn_pair(const asio::any_io_executor& executor, Clock& clock,
                                             size_t capacity) {
  auto ab = std::make_shared<Pipe>(executor, capacity);
  auto ba = std::make_shared<Pipe>(executor, capacity);
  return {std::make_unique<MemoryConn>(ba, ab, clock), std::make_unique<MemoryConn>(ab, ba, clock)};
}

Task<Result<>> read_exactly(Conn& conn, asio::mutable_buffer buffer) {
  while (buffer.size() > 0) {
    CO_TRY(const size_t n, co_await conn.read_some(buffer));
    if (n == 0) co_return Error::unavailable("stream ended in the middle of a message");
    buffer += n;
  }
  co_return Result<>();
}

Task<Result<uint64_t>> copy_stream(Conn& from, Conn& to, Clock& clock, Duration idle) {
  std::vector<char> buffer(32 * 1024);
  uint64_t copied = 0;
  while (true) {
    from.set_deadline(clock.now() + idle);
    CO_TRY(const size_t n, co_await from.read_some(asio::buffer(buffer)));
    if (n == 0) break;
    to.set_deadline(clock.now() + idle);
    CO_TRY_DO(co_await to.write(std::string_view(buffer.data(), n)));
    copied += n;
  }
  to.shutdown_write();
  co_return copied;
}

}  // namespace mesclun
