// Between a person's WebSocket and the command: streams both ways, and signs of life.
#pragma once

#include "api/exec.h"
#include "cloud/exec_link.h"
#include "http/websocket.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Bounds:   holds one message each way. A command that does not read stops who writes, by TCP; one who
//           does not read, or says "pause", stops the command.
// Lifetime: the parts outlive run().
class ExecSocket {
 public:
  struct Parts {
    Clock& clock;
    WebSocket& socket;
    NodeExec& exec;
    // Whose command it is may still have it.
    std::function<bool()> allowed;
  };
  // A proxy on the way forgets a connection that is silent for a minute, as many do.
  static constexpr Duration kPingEvery = 25s;
  // While we listen. A machine that is gone for good answers nothing.
  static constexpr Duration kSilenceMax = 90s;

  ExecSocket(const asio::any_io_executor& executor, Parts parts)
      : parts_(std::move(parts)), changed_(executor) {}

  // Until the command has ended, or nobody is there; how it ended.
  Task<Result<NodeExec::End>> run();

 private:
  Task<Result<>> say_output();
  Task<Result<>> say_end(const NodeExec::End& end);
  Task<Result<>> attend();
  Task<Result<>> listen();
  Task<Result<>> take(WebSocketMessage message);
  Result<> obey(const api::ExecControl& control);
  Task<Result<>> ping();
  Task<Result<>> watch();
  void leave(Error why);

  const Parts parts_;
  Notify changed_;
  bool paused_ = false;
  bool input_ended_ = false;
  bool listening_ = false;  // not busy with what was said
  std::optional<NodeExec::End> end_;
};

}  // namespace mesclun::cloud
