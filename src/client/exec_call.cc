#include "client/exec_call.h"

#include "api/problem.h"
#include "base/race.h"

namespace mesclun::client {

namespace {

constexpr size_t kReadBytes = 32 * 1024;
constexpr Duration kLookEvery = 2s;

}  // namespace

// Listening goes on beside the rest to the end, so that questions after our life are answered.
Task<Result<api::ExecExit>> ExecCall::run() {
  std::optional<Result<>> heard;
  std::optional<Result<>> written;
  co_await race(detail::store_result(write_output(), written),
                detail::store_result(attend(), heard));
  if (co_await cancel_requested()) co_return Error::cancelled();
  if (failure_) co_return *failure_;
  if (written && !*written) co_return written->error();
  if (!exit_) co_return Error::unavailable("the connection ended before the command");
  co_return *exit_;
}

void ExecCall::say(api::ExecControl control) {
  controls_.push_back({.text = true, .data = api::write_exec_control(control)});
  changed_.notify_all();
}

Task<Result<>> ExecCall::attend() {
  std::optional<Result<>> ended[4];
  co_await join(
      join(detail::store_result(listen(), ended[0]), detail::store_result(read_input(), ended[1])),
      join(detail::store_result(send(), ended[2]), detail::store_result(watch(), ended[3])));
  co_return Result<>();
}

Task<Result<>> ExecCall::listen() {
  while (true) {
    Result<WebSocketMessage> message = co_await parts_.socket.read();
    if (!message) {
      if (message.code() == ErrorCode::Cancelled) co_return message.error();
      if (!exit_) fail(message.error());
      co_return Result<>();
    }
    const Result<bool> more = take(*std::move(message));
    if (!more) fail(more.error());
  }
}

// False: that was the last word.
Result<bool> ExecCall::take(WebSocketMessage message) {
  if (!message.text) {
    if (message.data.empty()) return true;
    unwritten_bytes_ += message.data.size() - 1;
    unwritten_.push_back(
        {.errors = message.data[0] == api::kExecStderr, .bytes = message.data.substr(1)});
    if (unwritten_bytes_ > kUnwrittenMax && !paused_) {
      paused_ = true;
      say({.pause = true});
    }
    changed_.notify_all();
    return true;
  }
  TRY(const api::ExecControl control, api::read_exec_control(message.data));
  if (control.error) {
    const json::object problem{{"type", control.error->type}, {"detail", control.error->detail}};
    return api::error_from_problem(500, json::serialize(problem));
  }
  if (control.exit) exit_ = *control.exit;
  changed_.notify_all();
  return !control.exit;
}

Task<Result<>> ExecCall::read_input() {
  while (parts_.in != nullptr) {
    while (unsent_bytes_ >= kUnsentMax) CO_TRY_DO(co_await changed_.wait());
    CO_TRY(std::string bytes, co_await parts_.in->read(kReadBytes));
    if (bytes.empty()) break;
    unsent_bytes_ += bytes.size();
    unsent_.push_back(std::string(1, api::kExecStdin) + bytes);
    changed_.notify_all();
  }
  while (!unsent_.empty()) CO_TRY_DO(co_await changed_.wait());
  say({.eof = true});
  co_return Result<>();
}

Task<Result<>> ExecCall::send() {
  while (true) {
    while (controls_.empty() && unsent_.empty()) CO_TRY_DO(co_await changed_.wait());
    WebSocketMessage message;
    if (!controls_.empty()) {
      message = std::move(controls_.front());
      controls_.pop_front();
    } else {
      message.data = unsent_.front();
    }
    const bool input = !message.text;
    CO_TRY_DO(co_await parts_.socket.write(std::move(message)));
    if (!input) continue;
    unsent_bytes_ -= unsent_.front().size() - 1;
    unsent_.pop_front();
    changed_.notify_all();
  }
}

// Until all was written after the command's end, or nothing more will come.
Task<Result<>> ExecCall::write_output() {
  while (true) {
    while (unwritten_.empty() && !exit_ && !failure_) CO_TRY_DO(co_await changed_.wait());
    if (unwritten_.empty()) co_return Result<>();
    Output output = std::move(unwritten_.front());
    unwritten_.pop_front();
    const size_t size = output.bytes.size();
    CO_TRY_DO(co_await (output.errors ? parts_.err : parts_.out).write(std::move(output.bytes)));
    unwritten_bytes_ -= size;
    if (paused_ && unwritten_bytes_ < kUnwrittenMax / 4) {
      paused_ = false;
      say({.pause = false});
    }
  }
}

Task<Result<>> ExecCall::watch() {
  uint64_t heard = parts_.socket.heard();
  TimePoint heard_at = parts_.clock.now();
  while (true) {
    CO_TRY_DO(co_await parts_.clock.sleep_for(kLookEvery));
    if (heard != parts_.socket.heard()) heard_at = parts_.clock.now();
    heard = parts_.socket.heard();
    if (parts_.clock.now() > heard_at + kSilenceMax) {
      fail(Error::unavailable("the cloud answers no more"));
    }
  }
}

void ExecCall::fail(Error why) {
  if (!failure_ && !exit_) failure_ = std::move(why);
  changed_.notify_all();
}

}  // namespace mesclun::client
