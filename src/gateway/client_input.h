// What a client sends, read ahead: so that a client that leaves is noticed while its answer is
// being made, and pipelined requests wait their turn.
#pragma once

#include <functional>
#include <optional>

#include "base/conn.h"
#include "base/notify.h"

namespace mesclun::gateway {

// Runs on:  one loop. run() reads; one other task at a time consumes.
// Bound:    kAheadMax bytes, then the client waits.
class ClientInput {
 public:
  static constexpr size_t kAheadMax = 64 * 1024;

  ClientInput(const asio::any_io_executor& executor, Conn& conn)
      : conn_(conn), changed_(executor), room_(executor) {}

  // Reads until the client or the connection ends.
  Task<Result<>> run();

  std::string_view bytes() const { return std::string_view(bytes_).substr(used_); }
  void consume(size_t n);
  // All bytes, as their owner: what run() reads meanwhile goes elsewhere.
  std::string take();
  // Gives back what take() gave and was not used.
  void put_back(std::string_view rest);

  // Waits until there are more than `had` bytes. False at the client's orderly end; otherwise what
  // broke the connection, or Cancelled.
  Task<Result<bool>> more(size_t had);
  // The client has ended or broken the connection. A deadline of ours that passed is not its doing.
  bool gone() const {
    return end_.has_value() && (end_->has_value() || end_->code() != ErrorCode::DeadlineExceeded);
  }
  // run() reads no more.
  bool ended() const { return end_.has_value(); }
  // Ends a more() that another task waits in.
  void interrupt();

  // Called once, when the client goes.
  std::function<void()> on_gone;
  // Whether large pieces are expected.
  bool bulk = false;

 private:
  Conn& conn_;
  std::string bytes_;
  size_t used_ = 0;
  std::optional<Result<>> end_;  // an error, or orderly
  uint64_t interrupts_ = 0;
  Notify changed_;
  Notify room_;
};

}  // namespace mesclun::gateway
