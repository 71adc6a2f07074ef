// What a client sends, read ahead: so that a client that leaves is noticed while its answer is
// being made, and pipelined requests wait their turn.
#pragma once

#include <functional>
#include <optional>

#include "base/notify.h"
#include "http/reader.h"

namespace mesclun::gateway {

// Runs on:  one loop. run() reads; one other task at a time fills and uses.
// Bound:    kAheadMax bytes beside those that were filled last, then the client waits.
class ClientInput final : public HttpInput {
 public:
  static constexpr size_t kAheadMax = 64 * 1024;

  // `half_close_timeout`: a client that has ended its own side still hears an answer for so long;
  // but that is also how most clients leave.
  ClientInput(const asio::any_io_executor& executor, Conn& conn, Clock& clock,
              Duration half_close_timeout)
      : conn_(conn),
        clock_(clock),
        half_close_timeout_(half_close_timeout),
        changed_(executor),
        room_(executor) {}

  // Reads until the client or the connection ends.
  Task<Result<>> run();
  // The connection is over; run() ends soon.
  void stop();

  // Fails with what broke the connection, or Cancelled after interrupt().
  Task<Result<bool>> fill() override;
  bool fill_now() override;
  // Ends a fill() that another task waits in.
  void interrupt();

  // The client has broken the connection, or ended its side long ago. A deadline of ours that passed
  // is not its doing.
  bool gone() const { return gone_; }
  // It has ended its own side in good order.
  bool half_closed() const { return end_.has_value() && end_->has_value(); }
  // run() reads no more.
  bool ended() const { return end_.has_value(); }

  // Of memory, used or not.
  size_t held_bytes() const { return bytes_.capacity() + ahead_.capacity(); }
  // Between requests: gives back what a large one needed.
  void trim();
  // Ends run(), of a client that has sent nothing: fill() fails with Cancelled, and then has_let_go()
  // says so, unless bytes came first.
  void let_go();
  // run() reads no more, and took nothing: the connection may go its own way.
  bool has_let_go() const { return letting_go_ && end_.has_value(); }
  // Ends run(), and hands out all that was read and not used: the connection becomes another thing's.
  Task<std::string> take_over();
  // Whether large pieces are expected.
  bool bulk = false;

 private:
  friend class WhenGone;

  // False: run() ends.
  Task<bool> wait_for_room();
  Task<void> wait_half_closed();
  Task<void> read_on();

  Conn& conn_;
  Clock& clock_;
  const Duration half_close_timeout_;
  std::string ahead_;            // run() appends; fill() moves it to bytes_
  std::optional<Result<>> end_;  // an error, or orderly
  bool gone_ = false;
  bool stopped_ = false;
  bool over_ = false;  // run() has ended
  bool letting_go_ = false;
  uint64_t interrupts_ = 0;
  Notify changed_;
  Notify room_;
  std::function<void()> on_gone_;
};

// While it lives, `call` is made when the client ends its side and when it has gone; one at a time for
// a client.
class WhenGone {
 public:
  WhenGone(ClientInput& input, std::function<void()> call) : input_(input) {
    input_.on_gone_ = std::move(call);
  }
  ~WhenGone() { input_.on_gone_ = nullptr; }
  WhenGone(const WhenGone&) = delete;
  WhenGone& operator=(const WhenGone&) = delete;

 private:
  ClientInput& input_;
};

}  // namespace mesclun::gateway
