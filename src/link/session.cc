#include "link/session.h"

#include <fmt/format.h>

#include <array>
#include <deque>

#include "base/notify.h"
#include "base/race.h"

namespace mesclun::link {

namespace {

constexpr size_t kQueuedMax = 256;
constexpr Duration kSendTimeout = 20s;

class ConnSession final : public Session {
 public:
  ConnSession(ConnPtr conn, const asio::any_io_executor& executor, Clock& clock)
      : conn_(std::move(conn)), clock_(clock), changed_(executor) {}

  // What broke reading has broken the session; a reader that was only cancelled may still write.
  Task<Result<Message>> receive() override {
    Result<Message> message = co_await read();
    if (!message && message.code() != ErrorCode::Cancelled) close();
    co_return message;
  }

  // Cancelled at any await, it leaves what came so far to the next call.
  Task<Result<Message>> read() {
    CO_TRY_DO(co_await fill(asio::buffer(head_), head_bytes_));
    const size_t size = (size_t{head_[0]} << 24) | (size_t{head_[1]} << 16) |
                        (size_t{head_[2]} << 8) | size_t{head_[3]};
    if (size > kFrameBytesMax) {
      co_return Error::invalid(fmt::format("a frame of {} bytes is over the limit", size));
    }
    text_.resize(size);
    CO_TRY_DO(co_await fill(asio::buffer(text_), text_bytes_));
    head_bytes_ = text_bytes_ = 0;
    co_return decode(std::exchange(text_, {}));
  }

  // Until `have` of the buffer's bytes are all of them.
  Task<Result<>> fill(asio::mutable_buffer buffer, size_t& have) {
    while (have < buffer.size()) {
      CO_TRY(const size_t more, co_await conn_->read_some(buffer + have));
      if (more == 0) co_return Error::unavailable("the stream ended");
      have += more;
    }
    co_return Result<>();
  }

  Task<Result<Message>> receive_within(Duration limit) override {
    co_return co_await within(clock_, limit, receive());
  }

  Result<> send(const Message& message) override {
    if (closed_) return Error::unavailable("the session is closed");
    std::string text = encode(message);
    if (queue_.size() >= kQueuedMax || text.size() > kFrameBytesMax) {
      close();
      return Error{ErrorCode::ResourceExhausted, "the peer does not keep up"};
    }
    const auto size = static_cast<uint32_t>(text.size());
    std::string frame;
    frame.reserve(text.size() + 4);
    for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(size >> shift);
    frame += text;
    queue_.push_back(std::move(frame));
    changed_.notify_all();
    return {};
  }

  Task<Result<>> pump() override {
    while (true) {
      while (queue_.empty() && !closed_) CO_TRY_DO(co_await changed_.wait());
      if (closed_) co_return Error::unavailable("the session is closed");
      std::string out;
      while (!queue_.empty() && out.size() < 64 * 1024) {
        out += queue_.front();
        queue_.pop_front();
      }
      // The deadline holds for reads too, so it is lifted once the bytes are out.
      conn_->set_deadline(clock_.now() + kSendTimeout);
      const Result<> written = co_await conn_->write(out);
      if (!written) {
        close();
        co_return written;
      }
      conn_->set_deadline(TimePoint::max());
    }
  }

  void close() override {
    closed_ = true;
    conn_->close();
    changed_.notify_all();
  }
  std::string peer_address() const override { return conn_->peer_address(); }

 private:
  ConnPtr conn_;
  Clock& clock_;
  Notify changed_;
  std::deque<std::string> queue_;
  bool closed_ = false;
  // The frame that is arriving.
  std::array<unsigned char, 4> head_{};
  size_t head_bytes_ = 0;
  std::string text_;
  size_t text_bytes_ = 0;
};

// One direction of a session in memory: messages with the time of their arrival.
struct Pipe {
  explicit Pipe(const asio::any_io_executor& executor) : changed(executor) {}
  std::deque<std::pair<TimePoint, Message>> messages;
  TimePoint last_arrival{};
  bool closed = false;
  Notify changed;
};

class MemorySession final : public Session {
 public:
  MemorySession(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Clock& clock, Fate fate)
      : in_(std::move(in)), out_(std::move(out)), clock_(clock), fate_(std::move(fate)) {}
  ~MemorySession() override { close_both(); }

  Task<Result<Message>> receive() override { return receive_until(TimePoint::max()); }
  Task<Result<Message>> receive_within(Duration limit) override {
    return receive_until(clock_.now() + limit);
  }

  // Without a race against a timer: the simulator has millions of these.
  Task<Result<Message>> receive_until(TimePoint end) {
    const auto in = in_;
    while (true) {
      const bool arrived = !in->messages.empty() && in->messages.front().first <= clock_.now();
      if (arrived) {
        Message message = std::move(in->messages.front().second);
        in->messages.pop_front();
        co_return message;
      }
      if (in->closed) co_return Error::unavailable("the session is closed");
      if (clock_.now() >= end) co_return Error::deadline("timed out");
      const TimePoint next = in->messages.empty() ? end : std::min(end, in->messages.front().first);
      if (next == TimePoint::max()) {
        CO_TRY_DO(co_await in->changed.wait());
      } else {
        CO_TRY_DO(co_await in->changed.wait_until(clock_, next));
      }
    }
  }

  Result<> send(const Message& message) override {
    if (out_->closed) return Error::unavailable("the session is closed");
    if (out_->messages.size() >= kQueuedMax) {
      close_both();
      return Error{ErrorCode::ResourceExhausted, "the peer does not keep up"};
    }
    Duration delay{};
    if (fate_) {
      const auto decided = fate_();
      if (!decided) {
        close_both();
        return {};
      }
      delay = *decided;
    }
    // Order is kept, as on a stream.
    out_->last_arrival = std::max(out_->last_arrival, clock_.now() + delay);
    out_->messages.emplace_back(out_->last_arrival, message);
    out_->changed.notify_all();
    return {};
  }

  Task<Result<>> pump() override {
    const auto out = out_;
    while (!out->closed) CO_TRY_DO(co_await out->changed.wait());
    co_return Error::unavailable("the session is closed");
  }
  void close() override { close_both(); }
  std::string peer_address() const override { return "memory"; }

 private:
  void close_both() {
    for (const auto& pipe : {in_, out_}) {
      pipe->closed = true;
      pipe->changed.notify_all();
    }
  }

  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  Clock& clock_;
  Fate fate_;
};

}  // namespace

SessionPtr make_conn_session(ConnPtr conn, const asio::any_io_executor& executor, Clock& clock) {
  return std::make_unique<ConnSession>(std::move(conn), executor, clock);
}

std::pair<SessionPtr, SessionPtr> memory_session_pair(const asio::any_io_executor& executor,
                                                      Clock& clock, Fate fate) {
  auto a = std::make_shared<Pipe>(executor);
  auto b = std::make_shared<Pipe>(executor);
  return {std::make_unique<MemorySession>(a, b, clock, fate),
          std::make_unique<MemorySession>(b, a, clock, fate)};
}

}  // namespace mesclun::link
