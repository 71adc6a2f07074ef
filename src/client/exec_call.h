// The WebSocket of one `mesclun exec`: standard streams to a command and back.
#pragma once

#include <deque>

#include "api/exec.h"
#include "base/notify.h"
#include "client/fd_stream.h"
#include "http/websocket.h"

namespace mesclun::client {

// Runs on:  the command's loop.
// Bounds:   of input that the cloud does not take yet kUnsentMax is held; of output that nobody takes
//           kUnwrittenMax and what is on its way when the cloud hears "pause".
// Lifetime: the parts outlive run().
class ExecCall {
 public:
  static constexpr size_t kUnsentMax = 64 * 1024;
  static constexpr size_t kUnwrittenMax = 1024 * 1024;
  // Without a word or a question of the cloud's, which asks every 25 s.
  static constexpr Duration kSilenceMax = 90s;

  struct Parts {
    Clock& clock;
    WebSocket& socket;
    FdStream* in = nullptr;  // null: the command's input ends at once
    FdStream& out;
    FdStream& err;
  };
  ExecCall(const asio::any_io_executor& executor, Parts parts)
      : parts_(std::move(parts)), changed_(executor) {}

  // The command's status, once all it said was written. Errors: the cloud's, which it could not be
  // begun or is lost by; Unavailable: no cloud any more, or nobody takes what it says.
  Task<Result<api::ExecExit>> run();
  // Queued; goes before input that waits.
  void say(api::ExecControl control);

 private:
  Task<Result<>> listen();
  Result<bool> take(WebSocketMessage message);
  Task<Result<>> attend();
  Task<Result<>> read_input();
  Task<Result<>> send();
  Task<Result<>> write_output();
  Task<Result<>> watch();
  void fail(Error why);

  const Parts parts_;
  Notify changed_;
  std::deque<WebSocketMessage> controls_;
  std::deque<std::string> unsent_;
  size_t unsent_bytes_ = 0;
  struct Output {
    bool errors = false;
    std::string bytes;
  };
  std::deque<Output> unwritten_;
  size_t unwritten_bytes_ = 0;
  bool paused_ = false;
  std::optional<api::ExecExit> exit_;
  std::optional<Error> failure_;
};

}  // namespace mesclun::client
