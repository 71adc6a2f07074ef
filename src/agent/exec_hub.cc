#include "agent/exec_hub.h"

#include <deque>

#include "base/crypto.h"
#include "base/log.h"
#include "base/text.h"
#include "link/conversation.h"
#include "link/exec_flow.h"

namespace mesclun::agent {

namespace {

// Of what waits in the session when an exec says something: more, and it waits. A slow line of 10
// Mbit/s carries it in 50 ms, so that is what an exec costs a heartbeat.
constexpr size_t kQueuedBytesMax = 64 * 1024;
// Before the command has begun.
constexpr size_t kEarlySignalsMax = 8;

runtime::TerminalSize size_of(int32_t rows, int32_t columns) {
  constexpr int32_t kMax = 10'000;
  return {.rows = static_cast<uint16_t>(std::clamp(rows, 1, kMax)),
          .columns = static_cast<uint16_t>(std::clamp(columns, 1, kMax))};
}

}  // namespace

struct ExecHub::Exec {
  Exec(const asio::any_io_executor& executor, link::ExecOpen what)
      : order(std::move(what)), changed(executor) {}

  link::ExecOpen order;
  std::unique_ptr<runtime::ExecStream> stream;  // null until it has begun
  link::ExecSending output;
  link::ExecReceiving input;
  std::deque<std::string> unread;  // of the input
  bool input_ended = false;
  std::vector<int32_t> early_signals;
  bool closed = false;  // nobody is there any more
  Notify changed;
};

ExecHub::ExecHub(Parts parts)
    : parts_(std::move(parts)), scope_(parts_.executor, "commands for people") {}

ExecHub::~ExecHub() = default;

bool ExecHub::take(link::Message& message) {
  if (auto* order = std::get_if<link::ExecOpen>(&message)) {
    open(std::move(*order));
    return true;
  }
  return std::visit(
      [this](auto& body) {
        if constexpr (requires { this->on(body); }) {
          this->on(body);
          return true;
        } else {
          return false;
        }
      },
      message);
}

void ExecHub::open(link::ExecOpen order) {
  const std::string id = order.exec_id;
  if (execs_.contains(id)) return;
  if (execs_.size() >= kExecsMax) {
    say_exit(id, {ErrorCode::ResourceExhausted,
                  fmt::format("the machine runs {} commands for people already", kExecsMax)});
    return;
  }
  const auto exec = std::make_shared<Exec>(parts_.executor, std::move(order));
  execs_.emplace(id, exec);
  scope_.spawn(run(exec));
}

void ExecHub::on(link::ExecData& data) {
  Exec* exec = find(data.exec_id);
  if (exec == nullptr) return;
  Result<std::string> bytes = from_base64(data.data);
  if (!bytes || !exec->input.take(bytes->size())) {
    break_off(*exec, "its input is no input, or more than was asked for");
    return;
  }
  if (!bytes->empty()) exec->unread.push_back(*std::move(bytes));
  exec->changed.notify_all();
}

void ExecHub::on(const link::ExecWindow& window) {
  Exec* exec = find(window.exec_id);
  if (exec == nullptr) return;
  if (!exec->output.grant(window.bytes)) {
    break_off(*exec, "more of its output was asked for than there may be");
  }
  exec->changed.notify_all();
}

void ExecHub::on(const link::ExecInputEnd& end) {
  Exec* exec = find(end.exec_id);
  if (exec == nullptr) return;
  exec->input_ended = true;
  exec->changed.notify_all();
}

void ExecHub::on(const link::ExecResize& resize) {
  Exec* exec = find(resize.exec_id);
  if (exec == nullptr) return;
  exec->order.rows = resize.rows;
  exec->order.columns = resize.columns;
  if (exec->stream) std::ignore = exec->stream->resize(size_of(resize.rows, resize.columns));
}

void ExecHub::on(const link::ExecSignal& signal) {
  Exec* exec = find(signal.exec_id);
  if (exec == nullptr) return;
  if (exec->stream) {
    // One that has just ended hears none.
    std::ignore = exec->stream->signal(signal.number);
  } else if (exec->early_signals.size() < kEarlySignalsMax) {
    exec->early_signals.push_back(signal.number);
  }
}

void ExecHub::on(const link::ExecClose& close) {
  Exec* exec = find(close.exec_id);
  if (exec == nullptr) return;
  exec->closed = true;
  exec->changed.notify_all();
}

ExecHub::Exec* ExecHub::find(const std::string& exec_id) const {
  const auto found = execs_.find(exec_id);
  return found == execs_.end() ? nullptr : found->second.get();
}

void ExecHub::break_off(Exec& exec, const char* why) {
  say_exit(exec.order.exec_id, Error::invalid(why));
  exec.closed = true;
  exec.changed.notify_all();
}

void ExecHub::say_exit(const std::string& exec_id, const Error& error) {
  const link::Message exit = link::ExecExit{.exec_id = exec_id,
                                            .code = -1,
                                            .detail = error.message,
                                            .error_code = std::string(to_string(error.code))};
  std::ignore = parts_.session.send(exit);
}

namespace {

Task<Result<>> until_closed(const bool& closed, Notify& changed) {
  while (!closed) CO_TRY_DO(co_await changed.wait());
  co_return Result<>();
}

}  // namespace

// The command ends with its stream, which ends here.
Task<Result<>> ExecHub::run(ExecPtr exec) {
  const Result<> closed =
      co_await link::beside(until_closed(exec->closed, exec->changed), live(*exec));
  exec->stream.reset();
  execs_.erase(exec->order.exec_id);
  co_return closed;
}

Task<Result<>> ExecHub::live(Exec& exec) {
  const link::ExecOpen& order = exec.order;
  log_info("exec", "begins",
           {{"exec", order.exec_id}, {"instance", order.instance_id}, {"tty", order.tty}});
  runtime::ExecSpec spec{.command = order.command,
                         .tty = order.tty,
                         .size = size_of(order.rows, order.columns),
                         .environment = order.environment};
  Result<std::unique_ptr<runtime::ExecStream>> stream =
      co_await parts_.open(order.instance_id, std::move(spec));
  Result<> ended;
  if (stream) {
    exec.stream = *std::move(stream);
    // What came meanwhile.
    std::ignore = exec.stream->resize(size_of(order.rows, order.columns));
    for (const int32_t number : exec.early_signals) std::ignore = exec.stream->signal(number);
    ended = co_await link::beside(say_output(exec), pass_input(exec));
  } else {
    ended = stream.error();
  }
  if (!ended && ended.code() != ErrorCode::Cancelled) say_exit(order.exec_id, ended.error());
  log_info("exec", "has ended", {{"exec", order.exec_id}});
  exec.closed = true;
  exec.changed.notify_all();
  co_return Result<>();
}

// To the end of the output; then the last word.
Task<Result<>> ExecHub::say_output(Exec& exec) {
  const std::string id = exec.order.exec_id;
  while (true) {
    while (exec.output.room() == 0) CO_TRY_DO(co_await exec.changed.wait());
    CO_TRY(const runtime::ExecOutput output, co_await exec.stream->read(exec.output.room()));
    if (output.stream == runtime::ExecOutput::Stream::End) break;
    exec.output.sent(output.bytes.size());
    const bool errors = output.stream == runtime::ExecOutput::Stream::Err;
    link::ExecData data{.exec_id = id,
                        .channel = errors ? link::ExecChannel::Errors : link::ExecChannel::Output,
                        .data = base64(output.bytes)};
    CO_TRY_DO(co_await say(std::move(data)));
  }
  CO_TRY(const runtime::ExecExit exit, co_await exec.stream->wait());
  link::ExecExit last{
      .exec_id = id, .code = exit.code, .detail = valid_utf8(exit.detail), .error_code = ""};
  co_return co_await say(std::move(last));
}

// A command that reads no more does not hold back who writes to it.
Task<Result<>> ExecHub::pass_input(Exec& exec) {
  while (true) {
    while (exec.unread.empty() && !exec.input_ended) CO_TRY_DO(co_await exec.changed.wait());
    if (exec.unread.empty()) break;
    std::string bytes = std::move(exec.unread.front());
    exec.unread.pop_front();
    const size_t size = bytes.size();
    const Result<> written = co_await exec.stream->write(std::move(bytes));
    if (!written && written.code() == ErrorCode::Cancelled) co_return written;
    if (const int64_t more = exec.input.read(size); more > 0) {
      link::ExecWindow window{.exec_id = exec.order.exec_id, .bytes = more};
      CO_TRY_DO(co_await say(std::move(window)));
    }
  }
  co_return co_await exec.stream->end_input();
}

Task<Result<>> ExecHub::say(link::Message message) {
  CO_TRY_DO(co_await parts_.session.wait_until_below(kQueuedBytesMax));
  co_return parts_.session.send(message);
}

}  // namespace mesclun::agent
