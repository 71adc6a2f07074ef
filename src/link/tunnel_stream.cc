#include <cstring>

#include "base/log.h"
#include "base/race.h"
#include "link/tunnel_core.h"

namespace mesclun::link {

namespace {

Error over_error(const StreamState& state) {
  if (state.broken) return Error::unavailable("the tunnel broke");
  if (state.reset == ResetCode::Closed) return Error::unavailable("the peer closed the stream");
  return Error::unavailable("the peer reset the stream");
}

class TunnelStreamImpl final : public TunnelStream {
 public:
  TunnelStreamImpl(std::shared_ptr<TunnelCore> core, StatePtr state)
      : core_(std::move(core)), state_(std::move(state)) {}
  ~TunnelStreamImpl() override { core_->leave(state_); }

  Task<Result<size_t>> read_some(asio::mutable_buffer buffer) override {
    const StatePtr state = state_;
    if (is_cancelled(co_await asio::this_coro::cancellation_state)) co_return Error::cancelled();
    while (state->unread() == 0) {
      if (const auto end = read_end()) {
        if (!*end) co_return end->error();
        co_return size_t{0};
      }
      CO_TRY_DO(co_await state->readable.wait());
    }
    const size_t n = std::min(buffer.size(), state->unread());
    std::memcpy(buffer.data(), state->in.data() + state->in_used, n);
    state->in_used += n;
    core_->consumed(*state, n);
    co_return n;
  }

  Task<Result<bool>> read_all(std::string& into) override {
    const StatePtr state = state_;
    if (is_cancelled(co_await asio::this_coro::cancellation_state)) co_return Error::cancelled();
    while (state->unread() == 0) {
      if (const auto end = read_end()) {
        if (!*end) co_return end->error();
        co_return false;
      }
      CO_TRY_DO(co_await state->readable.wait());
    }
    co_return read_all_now(into);
  }
  bool read_all_now(std::string& into) override {
    const size_t n = state_->unread();
    if (n == 0) return false;
    if (state_->in_used > 0) state_->in.erase(0, state_->in_used);
    state_->in_used = 0;
    std::swap(state_->in, into);
    core_->consumed(*state_, n);
    return true;
  }
  bool write_all_now(std::span<const asio::const_buffer> buffers) override {
    return state_->pending.empty() && can_write() && core_->send_now(*state_, buffers);
  }

  Task<Result<>> write(std::span<const asio::const_buffer> buffers) override {
    const StatePtr state = state_;
    if (is_cancelled(co_await asio::this_coro::cancellation_state)) co_return Error::cancelled();
    CO_TRY_DO(can_write());
    state->pending = buffers;
    state->pending_used = 0;
    core_->offer(state);
    while (!state->pending.empty()) {
      Result<> more = can_write();
      if (more && state->expired) more = Error::deadline("stream deadline");
      if (more) more = co_await state->writable.wait();
      if (!more && !state->pending.empty()) {
        state->pending = {};
        co_return more.error();
      }
    }
    // A reset empties `pending` too.
    co_return can_write();
  }

  bool is_clean() const override {
    return state_->unread() == 0 && !state_->fin_in && !state_->fin_out && !state_->closed &&
           !state_->over();
  }
  Task<bool> is_unread(Duration limit) override {
    const StatePtr state = state_;
    set_deadline(core_->clock().now() + limit);
    while (state->fin_in && !state->over() && !state->closed && !state->expired) {
      if (!co_await state->readable.wait()) co_return false;
    }
    co_return state->reset == ResetCode::Unread;
  }
  void set_deadline(TimePoint when) override {
    state_->deadline = when;
    state_->expired = false;
  }
  void shutdown_write() override { core_->send_fin(state_); }
  void close() override { core_->leave(state_); }
  void abort() override { core_->send_reset(state_, ResetCode::Aborted); }
  std::string peer_address() const override { return "tunnel"; }

 private:
  // Why nothing more can be read, orderly or not; nothing while more may come.
  std::optional<Result<>> read_end() const {
    if (state_->closed) return Error::unavailable("connection closed");
    if (state_->fin_in) return Result<>();
    if (state_->over()) return over_error(*state_);
    if (state_->expired) return Error::deadline("stream deadline");
    return std::nullopt;
  }

  Result<> can_write() const {
    if (state_->closed || state_->fin_out) return Error::unavailable("connection closed");
    if (state_->over()) return over_error(*state_);
    return {};
  }

  std::shared_ptr<TunnelCore> core_;
  StatePtr state_;
};

// How a stream stands with its application.
struct AppEnd {
  uint64_t answered = 0;  // bytes that had been written to it when its last byte came
  bool asked = false;     // something was written to it since, or tried to be
  bool ended = false;     // it sends no more
};

// Whether nobody has read what was sent since the application's last byte. It may stand in a network
// of its own, from which the kernel needs a moment to hear.
Task<bool> is_unread(Conn& app, const AppEnd& end, Clock& clock) {
  for (int i = 0; i < 5 && end.asked; ++i) {
    if (app.is_lost_after(end.answered)) co_return true;
    if (!co_await clock.sleep_for(2ms)) break;
  }
  co_return false;
}

Task<void> copy_to_app(TunnelStream& stream, Conn& app, AppEnd& end, Clock& clock,
                       std::function<void()> unread) {
  std::string bytes;
  while (true) {
    bytes.clear();
    if (!stream.read_all_now(bytes)) {
      const Result<bool> more = co_await stream.read_all(bytes);
      if (!more) {
        app.abort();
        co_return;
      }
      if (!*more) {
        app.shutdown_write();
        co_return;
      }
    }
    end.asked = true;
    const asio::const_buffer whole = asio::buffer(bytes);
    const asio::const_buffer rest = whole + app.write_now(std::span(&whole, 1));
    // An application that answers early and closes still has its answer in the other direction,
    // which decides how the stream ends.
    const bool written = rest.size() == 0 || (co_await app.write(std::span(&rest, 1)));
    // One that had ended before: the other direction has told that already.
    if (end.ended && co_await is_unread(app, end, clock)) co_return unread();
    if (!written) co_return;
  }
}

Task<void> copy_from_app(Conn& app, TunnelStream& stream, AppEnd& end, Clock& clock,
                         std::function<void()> unread) {
  std::vector<char> buffer(kFramePayloadMax);
  while (true) {
    const Result<size_t> n = co_await app.read_some(asio::buffer(buffer));
    if (!n || *n == 0) {
      end.ended = true;
      if (n) stream.shutdown_write();
      if (co_await is_unread(app, end, clock)) co_return unread();
      if (!n) stream.abort();
      co_return;
    }
    end.asked = false;
    end.answered = app.written();
    const asio::const_buffer bytes = asio::buffer(buffer, *n);
    if (stream.write_all_now(std::span(&bytes, 1))) continue;
    if (!co_await stream.write(std::span(&bytes, 1))) {
      app.abort();
      co_return;
    }
  }
}

ResetCode reset_code(const Error& error) {
  if (error.code == ErrorCode::DeadlineExceeded) return ResetCode::Timeout;
  return error.cause == Cause::Refused ? ResetCode::Refused : ResetCode::Unreachable;
}

}  // namespace

TunnelStreamPtr make_tunnel_stream(std::shared_ptr<TunnelCore> core, StatePtr state) {
  return std::make_unique<TunnelStreamImpl>(std::move(core), std::move(state));
}

Task<Result<>> serve_stream(std::shared_ptr<TunnelCore> core, StatePtr state, TunnelTarget target) {
  const std::string instance = target.instance_id;
  const Result<ConnPtr> connected = co_await core->connect(std::move(target));
  if (state->over() || state->closed) co_return Result<>();
  if (!connected) {
    log_debug("tunnel", "cannot connect to instance",
              {{"instance", instance}, {"error", connected.error().message}});
    core->send_reset(state, reset_code(connected.error()));
    co_return Result<>();
  }
  Conn& app = **connected;
  core->send_opened(state);
  const TunnelStreamPtr stream = make_tunnel_stream(core, state);
  // After the opener's FIN nobody reads the stream, but its reset must still reach the application.
  state->on_over = [&app] { app.abort(); };
  AppEnd end;
  const auto unread = [&] {
    core->send_reset(state, ResetCode::Unread);
    app.abort();
  };
  Clock& clock = core->clock();
  co_await join(copy_to_app(*stream, app, end, clock, unread),
                copy_from_app(app, *stream, end, clock, unread));
  state->on_over = nullptr;
  co_return Result<>();
}

}  // namespace mesclun::link
