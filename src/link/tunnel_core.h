// The inside of a tunnel: what tunnel.cc, tunnel_core.cc and tunnel_stream.cc share. Include
// tunnel.h instead.
#pragma once

#include <deque>
#include <optional>
#include <unordered_map>

#include "base/scope.h"
#include "link/tunnel.h"

namespace mesclun::link {

// One stream, as both its TunnelStream and the tunnel see it.
//
//   opening ──OPENED──► open ──FIN both ways──► over
//      └──────RESET───────┴─────────RESET─────► over      (over: no longer in the table)
struct StreamState {
  StreamState(const asio::any_io_executor& executor, uint32_t number)
      : id(number), readable(executor), writable(executor) {}

  const uint32_t id;
  Notify readable;  // also: opened, failed
  Notify writable;

  // Towards us.
  std::string in;
  size_t in_used = 0;
  uint32_t granted = kWindowInitial;  // the peer may send that much more
  bool fin_in = false;

  // Away from us. `pending` belongs to the one write() under way, and goes when it returns.
  std::span<const asio::const_buffer> pending;
  size_t pending_used = 0;  // of pending.front()
  uint64_t credit = kWindowInitial;
  bool queued = false;  // in TunnelCore::ready_
  bool fin_out = false;

  bool opened = false;
  bool closed = false;             // by us
  bool expired = false;            // the deadline passed
  bool broken = false;             // the tunnel is gone
  std::optional<ResetCode> reset;  // by the peer
  TimePoint deadline = TimePoint::max();
  std::function<void()> on_over;  // reset or broken; at most once

  size_t unread() const { return in.size() - in_used; }
  bool over() const { return reset.has_value() || broken; }
};
using StatePtr = std::shared_ptr<StreamState>;

// Writing: streams that have bytes and credit stand in `ready_` and give one piece in turn to
// `out_` while it has room. pump() hands `urgent_` (answers, windows, opens: never behind bulk
// data) and `out_` to the connection in one write; what is appended meanwhile is the next write.
class TunnelCore : public std::enable_shared_from_this<TunnelCore> {
 public:
  // Without `connect` it is the opening side.
  TunnelCore(const asio::any_io_executor& executor, ConnPtr conn, Clock& clock,
             Tunnel::Connect connect, TunnelLimits limits);

  Task<Result<>> run();
  void close(Error why);
  // Opening side: asks the peer for a stream. What comes of it, within `limit`, its state tells.
  Result<StatePtr> begin_open(const TunnelTarget& target, Duration limit);

  bool up() const { return up_; }
  bool suspect() const { return clock_.now() - heard_ >= limits_.suspect_after; }
  size_t streams() const { return streams_.size(); }
  size_t buffered_bytes() const {
    return unread_ + urgent_.size() + out_.size() + urgent_sending_.size() + out_sending_.size();
  }

  // ---- for streams ----
  Clock& clock() { return clock_; }
  // Accepting side.
  Task<Result<ConnPtr>> connect(TunnelTarget target);
  void send_opened(const StatePtr& state);
  // `pending` was set: offer it.
  void offer(const StatePtr& state);
  // Sends all of it if nobody waits; does nothing otherwise.
  bool send_now(StreamState& state, std::span<const asio::const_buffer> buffers);
  // `bytes` were taken out of `in`.
  void consumed(StreamState& state, size_t bytes);
  void send_fin(const StatePtr& state);
  void send_reset(const StatePtr& state, ResetCode code);
  // Orderly end by us; the peer is told that nobody reads any more.
  void leave(const StatePtr& state);

 private:
  Task<Result<>> read_loop();
  Task<Result<>> pump(std::shared_ptr<TunnelCore> self);
  Task<Result<>> keep(std::shared_ptr<TunnelCore> self);

  Result<> take_frames(std::string_view& bytes);
  Result<> on_frame(const Frame& frame);
  Result<> on_open(const Frame& frame);
  Result<> on_data(StreamState& state, std::string_view payload);
  Result<> on_window(const StatePtr& state, uint32_t bytes);
  void on_reset(const StatePtr& state, ResetCode code);
  void refill();
  // Moves one piece of the stream's pending bytes to out_, as a data frame: as much as a frame and
  // the peer's window take.
  void take_piece(StreamState& state);
  void wake_pump();
  void forget_if_over(const StreamState& state);
  void fail_streams();
  void drop_unread(StreamState& state);
  void check_deadlines(TimePoint now);

  // Constant after construction.
  asio::any_io_executor executor_;
  Clock& clock_;
  const Tunnel::Connect connect_;
  const TunnelLimits limits_;

  // The loop's only; tasks of streams and of the tunnel take turns.
  ConnPtr conn_;
  Scope scope_;
  std::unordered_map<uint32_t, StatePtr> streams_;
  uint32_t last_id_ = 0;  // the highest that was opened
  std::deque<StatePtr> ready_;
  std::string urgent_;
  std::string out_;
  std::string urgent_sending_;
  std::string out_sending_;
  Notify to_send_;
  bool pump_waits_ = false;
  size_t unread_ = 0;  // bytes, of all streams
  TimePoint heard_;    // the last whole frame
  TimePoint pinged_;
  TimePoint write_started_ = TimePoint::max();
  bool up_ = true;
  std::optional<Error> why_;  // the first reason for the end
};

// The Conn over a state. The accepting side makes one too.
TunnelStreamPtr make_tunnel_stream(std::shared_ptr<TunnelCore> core, StatePtr state);

// The accepting side's whole life of a stream: connects to the application and copies both ways
// until both have ended; a break of one side is a reset for the other.
Task<Result<>> serve_stream(std::shared_ptr<TunnelCore> core, StatePtr state, TunnelTarget target);

// To the opener, whose request may go elsewhere.
Error tunnel_broke();

}  // namespace mesclun::link
