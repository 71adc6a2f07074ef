#include "cloud/exec_socket.h"

#include "base/race.h"
#include "link/conversation.h"

namespace mesclun::cloud {

namespace {

constexpr Duration kLookEvery = 2s;
// For the other side to answer a goodbye.
constexpr Duration kCloseMax = 5s;
constexpr size_t kReasonBytesMax = 120;

CloseCode close_code_of(const NodeExec::End& end) {
  if (!end.error) return CloseCode::Normal;
  switch (end.error->code) {
    case ErrorCode::InvalidArgument:
    case ErrorCode::OutOfRange:
    case ErrorCode::PermissionDenied:
    case ErrorCode::ResourceExhausted:
      return CloseCode::Policy;
    default:
      return CloseCode::Internal;
  }
}

}  // namespace

Task<Result<NodeExec::End>> ExecSocket::run() {
  const Result<> said = co_await link::beside(say_output(), attend());
  if (end_) co_return *end_;
  co_return said ? Error::internal("a command without an end") : said.error();
}

Task<Result<>> ExecSocket::say_output() {
  while (true) {
    while (paused_) CO_TRY_DO(co_await changed_.wait());
    CO_TRY(auto next, co_await parts_.exec.read());
    if (auto* end = std::get_if<NodeExec::End>(&next)) {
      end_ = *end;
      co_return co_await say_end(*end_);
    }
    auto& output = std::get<NodeExec::Output>(next);
    const bool errors = output.channel == link::ExecChannel::Errors;
    WebSocketMessage message;
    message.data.reserve(output.bytes.size() + 1);
    message.data.push_back(errors ? api::kExecStderr : api::kExecStdout);
    message.data += output.bytes;
    CO_TRY_DO(co_await parts_.socket.write(std::move(message)));
  }
}

Task<Result<>> ExecSocket::say_end(const NodeExec::End& end) {
  api::ExecControl control;
  if (end.error) {
    control.error = api::ExecError{.type = std::string(end.error->problem_type()),
                                   .detail = end.error->message};
  } else {
    control.exit = api::ExecExit{.code = end.code, .detail = {}};
    if (!end.detail.empty()) control.exit->detail = end.detail;
  }
  WebSocketMessage message{.text = true, .data = api::write_exec_control(control)};
  CO_TRY_DO(co_await parts_.socket.write(std::move(message)));
  const std::string reason = end.error ? valid_utf8(end.error->message, kReasonBytesMax) : "";
  // Without an answer all was said as well.
  std::ignore =
      co_await within(parts_.clock, kCloseMax, parts_.socket.close(close_code_of(end), reason));
  co_return Result<>();
}

// All that goes on beside the output.
Task<Result<>> ExecSocket::attend() {
  std::optional<Result<>> ended[3];
  co_await join(
      detail::store_result(listen(), ended[0]),
      join(detail::store_result(ping(), ended[1]), detail::store_result(watch(), ended[2])));
  co_return Result<>();
}

// To the end of the WebSocket, also when nothing is to be heard any more: a goodbye is.
Task<Result<>> ExecSocket::listen() {
  while (true) {
    listening_ = true;
    Result<WebSocketMessage> message = co_await parts_.socket.read();
    listening_ = false;
    if (!message) {
      if (message.code() == ErrorCode::Cancelled) co_return message.error();
      leave(message.error());
      co_return Result<>();
    }
    const Result<> taken = co_await take(*std::move(message));
    if (taken) continue;
    if (taken.code() == ErrorCode::Cancelled) co_return taken;
    parts_.exec.lose(taken.error());
    paused_ = false;
    changed_.notify_all();
  }
}

Task<Result<>> ExecSocket::take(WebSocketMessage message) {
  if (message.text) {
    CO_TRY(const api::ExecControl control, api::read_exec_control(message.data));
    co_return obey(control);
  }
  if (message.data.empty()) co_return Result<>();
  if (message.data[0] != api::kExecStdin) {
    co_return Error::invalid("a binary message begins with a byte 0, for stdin");
  }
  if (input_ended_) co_return Error::invalid("stdin after its end");
  const Result<> written = co_await parts_.exec.write(message.data.substr(1));
  // What comes after the command's end is late, not wrong.
  if (!written && written.code() == ErrorCode::Unavailable) co_return Result<>();
  co_return written;
}

Result<> ExecSocket::obey(const api::ExecControl& control) {
  if (control.resize) parts_.exec.resize(control.resize->rows, control.resize->columns);
  if (control.signal) parts_.exec.signal(*api::signal_number(*control.signal));
  if (control.eof.value_or(false) && !input_ended_) {
    input_ended_ = true;
    parts_.exec.end_input();
  }
  if (control.pause) {
    paused_ = *control.pause;
    changed_.notify_all();
  }
  return {};
}

Task<Result<>> ExecSocket::ping() {
  while (true) {
    CO_TRY_DO(co_await parts_.clock.sleep_for(kPingEvery));
    // Behind output that is not taken it waits; then watch() judges.
    CO_TRY_DO(co_await parts_.socket.ping());
  }
}

Task<Result<>> ExecSocket::watch() {
  uint64_t heard = parts_.socket.heard();
  TimePoint heard_at = parts_.clock.now();
  while (true) {
    CO_TRY_DO(co_await parts_.clock.sleep_for(kLookEvery));
    // While we are busy with what was said, the silence is ours; but who has left need not be read.
    if (!listening_ || heard != parts_.socket.heard()) heard_at = parts_.clock.now();
    heard = parts_.socket.heard();
    if (!parts_.allowed()) {
      parts_.exec.lose({ErrorCode::PermissionDenied, "the API key was deleted"});
      paused_ = false;
      changed_.notify_all();
    }
    if (!listening_ && parts_.socket.peer_is_gone())
      leave(Error::unavailable("the caller has left"));
    if (parts_.clock.now() > heard_at + kSilenceMax) {
      leave(Error::unavailable("the caller answers no more"));
    }
  }
}

void ExecSocket::leave(Error why) {
  parts_.exec.lose(std::move(why));
  parts_.socket.abort();
  paused_ = false;
  changed_.notify_all();
}

}  // namespace mesclun::cloud
