#include "link/session.h"

#include <deque>

#include "base/log.h"
#include "base/notify.h"
#include "base/race.h"

namespace mesclun::link {

namespace {

constexpr Duration kSendTimeout = 20s;
// Frames that go out in one write.
constexpr size_t kWriteBytes = 64 * 1024;

Result<std::string> frame_of(const Message& message) {
  Result<std::string> frame = encode_frame(message);
  if (!frame) {
    log_error("link", "a message fits no frame and is not sent",
              {{"error", frame.error().message}});
  }
  return frame;
}

// What waits to be sent, within limits.
struct Load {
  size_t messages = 0;
  size_t bytes = 0;

  bool takes(size_t size, const SessionLimits& limits) const {
    return messages < limits.queued_messages_max && bytes + size <= limits.queued_bytes_max;
  }
  bool has_room(const SessionLimits& limits) const {
    return messages <= limits.queued_messages_max / 2 && bytes <= limits.queued_bytes_max / 2;
  }
  void add(size_t size) {
    ++messages;
    bytes += size;
  }
  void remove(size_t size) {
    --messages;
    bytes -= size;
  }
};

Error not_keeping_up() {
  return {ErrorCode::ResourceExhausted, "the peer does not keep up"};
}
Error session_closed() {
  return Error::unavailable("the session is closed");
}

class ConnSession final : public Session {
 public:
  ConnSession(ConnPtr conn, const asio::any_io_executor& executor, Clock& clock,
              SessionLimits limits)
      : conn_(std::move(conn)),
        clock_(clock),
        limits_(limits),
        frame_bytes_max_(limits.first_frame_bytes_max),
        changed_(executor) {}

  // What broke reading has broken the session; a reader that was only cancelled may still write.
  Task<Result<Message>> receive() override {
    Result<Message> message = co_await reader_.read(*conn_, frame_bytes_max_);
    if (!message && message.code() != ErrorCode::Cancelled) close();
    co_return message;
  }
  Task<Result<Message>> receive_within(Duration limit) override {
    co_return co_await within(clock_, limit, receive());
  }

  Result<> send(const Message& message) override {
    if (closed_) return session_closed();
    TRY(std::string frame, frame_of(message));
    if (!load_.takes(frame.size(), limits_)) {
      close();
      return not_keeping_up();
    }
    load_.add(frame.size());
    queue_.push_back(std::move(frame));
    changed_.notify_all();
    return {};
  }
  Task<Result<>> wait_for_room() override {
    while (!closed_ && !has_room()) CO_TRY_DO(co_await changed_.wait());
    if (closed_) co_return session_closed();
    co_return Result<>();
  }
  Task<Result<>> wait_until_below(size_t bytes) override {
    while (!closed_ && (load_.bytes > bytes || !has_room())) CO_TRY_DO(co_await changed_.wait());
    if (closed_) co_return session_closed();
    co_return Result<>();
  }
  bool has_room() const override { return load_.has_room(limits_); }
  void let_in() override { frame_bytes_max_ = kFrameBytesMax; }

  Task<Result<>> pump() override {
    while (true) {
      while (queue_.empty() && !closed_) CO_TRY_DO(co_await changed_.wait());
      if (closed_) co_return session_closed();
      Load taken;
      std::string out;
      while (!queue_.empty() && out.size() < kWriteBytes) {
        taken.add(queue_.front().size());
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
      load_.messages -= taken.messages;
      load_.bytes -= taken.bytes;
      changed_.notify_all();
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
  const SessionLimits limits_;
  size_t frame_bytes_max_;
  FrameReader reader_;
  Notify changed_;
  std::deque<std::string> queue_;
  Load load_;  // of the queue, and of what is being written
  bool closed_ = false;
};

// Of a heartbeat's frame, about.
constexpr size_t kHeartbeatBytes = 64;

// One direction of a session in memory.
struct Pipe {
  explicit Pipe(const asio::any_io_executor& executor)
      : arrives(executor), room(executor), ended(executor) {}
  // Heartbeats go as they are: they are most of what a simulated fleet says, and their frames would
  // be a third of its work.
  struct Item {
    TimePoint arrival;
    std::variant<std::string, Heartbeat> content;  // a frame
    size_t size() const {
      const auto* frame = std::get_if<std::string>(&content);
      return frame == nullptr ? kHeartbeatBytes : frame->size();
    }
  };
  std::deque<Item> items;
  Load load;
  TimePoint last_arrival{};
  bool closed = false;
  // Of their own, so that a message wakes only who waits for it.
  Notify arrives;  // the reader
  Notify room;
  Notify ended;  // the pump

  void close() {
    closed = true;
    for (Notify* waiting : {&arrives, &room, &ended}) waiting->notify_all();
  }
};

class MemorySession final : public Session {
 public:
  MemorySession(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Clock& clock, Fate fate,
                SessionLimits limits)
      : in_(std::move(in)),
        out_(std::move(out)),
        clock_(clock),
        fate_(std::move(fate)),
        limits_(limits),
        frame_bytes_max_(limits.first_frame_bytes_max) {}
  ~MemorySession() override { close_both(); }

  Task<Result<Message>> receive() override { return receive_until(TimePoint::max()); }
  Task<Result<Message>> receive_within(Duration limit) override {
    return receive_until(clock_.now() + limit);
  }

  // Without a race against a timer: the simulator has millions of these.
  Task<Result<Message>> receive_until(TimePoint end) {
    const auto in = in_;
    while (true) {
      const bool arrived = !in->items.empty() && in->items.front().arrival <= clock_.now();
      if (arrived) co_return take();
      if (in->closed) co_return session_closed();
      if (clock_.now() >= end) co_return Error::deadline("timed out");
      const TimePoint next = in->items.empty() ? end : std::min(end, in->items.front().arrival);
      if (next == TimePoint::max()) {
        CO_TRY_DO(co_await in->arrives.wait());
      } else {
        CO_TRY_DO(co_await in->arrives.wait_until(clock_, next));
      }
    }
  }

  Result<> send(const Message& message) override {
    if (out_->closed) return session_closed();
    Pipe::Item item;
    if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
      item.content = *heartbeat;
    } else {
      TRY(item.content, frame_of(message));
    }
    if (!out_->load.takes(item.size(), limits_)) {
      close_both();
      return not_keeping_up();
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
    item.arrival = out_->last_arrival;
    out_->load.add(item.size());
    out_->items.push_back(std::move(item));
    // The reader waits for the first one already.
    if (out_->items.size() == 1) out_->arrives.notify_all();
    return {};
  }
  Task<Result<>> wait_for_room() override {
    const auto out = out_;
    const SessionLimits limits = limits_;
    while (!out->closed && !out->load.has_room(limits)) CO_TRY_DO(co_await out->room.wait());
    if (out->closed) co_return session_closed();
    co_return Result<>();
  }
  Task<Result<>> wait_until_below(size_t bytes) override {
    const auto out = out_;
    const SessionLimits limits = limits_;
    while (!out->closed && (out->load.bytes > bytes || !out->load.has_room(limits))) {
      CO_TRY_DO(co_await out->room.wait());
    }
    if (out->closed) co_return session_closed();
    co_return Result<>();
  }
  bool has_room() const override { return out_->load.has_room(limits_); }
  void let_in() override { frame_bytes_max_ = kFrameBytesMax; }

  Task<Result<>> pump() override {
    const auto out = out_;
    while (!out->closed) CO_TRY_DO(co_await out->ended.wait());
    co_return session_closed();
  }
  void close() override { close_both(); }
  std::string peer_address() const override { return "memory"; }

 private:
  Result<Message> take() {
    const Pipe::Item item = std::move(in_->items.front());
    in_->items.pop_front();
    in_->load.remove(item.size());
    in_->room.notify_all();
    if (const auto* heartbeat = std::get_if<Heartbeat>(&item.content)) return Message(*heartbeat);
    Result<Message> message = parse_frame(std::get<std::string>(item.content), frame_bytes_max_);
    if (!message) close_both();
    return message;
  }
  void close_both() {
    in_->close();
    out_->close();
  }

  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  Clock& clock_;
  Fate fate_;
  const SessionLimits limits_;
  size_t frame_bytes_max_;
};

}  // namespace

SessionPtr make_conn_session(ConnPtr conn, const asio::any_io_executor& executor, Clock& clock,
                             SessionLimits limits) {
  return std::make_unique<ConnSession>(std::move(conn), executor, clock, limits);
}

std::pair<SessionPtr, SessionPtr> memory_session_pair(const asio::any_io_executor& executor,
                                                      Clock& clock, Fate fate,
                                                      SessionLimits limits) {
  auto a = std::make_shared<Pipe>(executor);
  auto b = std::make_shared<Pipe>(executor);
  return {std::make_unique<MemorySession>(a, b, clock, fate, limits),
          std::make_unique<MemorySession>(b, a, clock, fate, limits)};
}

}  // namespace mesclun::link
