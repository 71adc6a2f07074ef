#include "runtime/guarded_exec.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstring>

#include "base/race.h"
#include "runtime/exec_guard.h"
#include "runtime/shim/shim_client.h"
#include "runtime/shim/shim_process.h"

namespace mesclun::runtime {

namespace {

using asio::posix::stream_descriptor;

constexpr const char* kLost = "the process that watches over the command was killed";
constexpr char kEndOfInput = 0x04;  // Ctrl-D

Task<Result<>> wait_until(stream_descriptor& descriptor, stream_descriptor::wait_type what) {
  if (co_await cancel_requested()) co_return Error::cancelled();
  auto [error] = co_await descriptor.async_wait(what, asio::as_tuple(asio::use_awaitable));
  if (error == asio::error::operation_aborted) co_return Error::cancelled();
  if (error) co_return Error::unavailable(error.message());
  co_return Result<>();
}

Task<void> wait_quietly(stream_descriptor& descriptor) {
  std::ignore = co_await wait_until(descriptor, stream_descriptor::wait_read);
}

Result<std::pair<Descriptor, Descriptor>> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("no pipe");
  return std::pair(Descriptor(ends[0]), Descriptor(ends[1]));
}

Result<> set_nonblocking(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags >= 0 && ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0) return {};
  return system_error("cannot use a descriptor");
}

// What comes out of a container may be anything, and our loop must never wait in the kernel for it.
bool is_terminal_master(int descriptor) {
  struct stat status{};
  return ::fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode) &&
         major(status.st_rdev) == 5 && minor(status.st_rdev) == 2;
}

ExecExit refusal_of(int error, const std::string& program) {
  return {.code = error == ENOENT || error == ENOTDIR ? 127 : 126,
          .detail = fmt::format("cannot start '{:.150}': {}", program, std::strerror(error))};
}

class GuardedExec final : public ExecStream {
 public:
  GuardedExec(const asio::any_io_executor& executor, Descriptor socket, ExecEnds ours)
      : socket_(executor, socket.release()), in_(executor), out_(executor), err_(executor) {
    take(in_, ours.in);
    take(out_, ours.out);
    take(err_, ours.err);
  }

  // Until the command runs, or cannot.
  Task<Result<>> begin(std::string program) {
    while (heard_.size() < sizeof(GuardWord)) {
      CO_TRY(const bool more, co_await hear());
      if (!more) co_return Error::unavailable("the command was not begun: the instance has ended");
      if (heard_.starts_with('{')) co_return refused();
    }
    const GuardWord word = take_word();
    if (word.kind == kGuardRefused) {
      exit_ = refusal_of(word.value, program);
      for (stream_descriptor* stream : {&in_, &out_, &err_}) close(*stream);
      co_return Result<>();
    }
    if (word.kind != kGuardStarted) co_return Error::unavailable("no guard answers");
    if (!out_.is_open()) co_return take_terminal();
    co_return Result<>();
  }

  Task<Result<ExecOutput>> read(size_t bytes_max) override {
    while (out_.is_open() || err_.is_open()) {
      // One that never pauses does not shut the other out.
      errors_first_ = !errors_first_;
      for (const bool errors : {errors_first_, !errors_first_}) {
        if (auto found = read_now(errors, bytes_max)) co_return *std::move(found);
      }
      if (out_.is_open() && err_.is_open()) {
        co_await race(wait_quietly(out_), wait_quietly(err_));
      } else if (out_.is_open() || err_.is_open()) {
        co_await wait_quietly(out_.is_open() ? out_ : err_);
      }
      if (co_await cancel_requested()) co_return Error::cancelled();
    }
    co_return ExecOutput{};
  }

  Task<Result<>> write(std::string bytes) override {
    std::string_view left = bytes;
    while (!left.empty()) {
      if (!in_.is_open()) co_return Error::unavailable("its input has ended");
      const ssize_t n = ::write(in_.native_handle(), left.data(), left.size());
      if (n > 0) {
        left.remove_prefix(static_cast<size_t>(n));
      } else if (errno == EAGAIN) {
        CO_TRY_DO(co_await wait_until(in_, stream_descriptor::wait_write));
      } else if (errno != EINTR) {
        close(in_);
        co_return Error::unavailable("the command does not read any more");
      }
    }
    co_return Result<>();
  }

  Task<Result<>> end_input() override {
    if (terminal_) co_return co_await write(std::string(1, kEndOfInput));
    close(in_);
    co_return Result<>();
  }

  Result<> resize(TerminalSize size) override {
    if (!terminal_ || !in_.is_open()) return {};
    winsize window{};
    window.ws_row = size.rows;
    window.ws_col = size.columns;
    if (::ioctl(in_.native_handle(), TIOCSWINSZ, &window) == 0) return {};
    return system_error("cannot resize the terminal");
  }

  Result<> signal(int number) override {
    if (number < 1 || number >= NSIG) return Error::invalid("there is no such signal");
    const GuardWord word{.kind = kGuardSignal, .value = number};
    if (::send(socket_.native_handle(), &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT) ==
        sizeof word) {
      return {};
    }
    return system_error("cannot reach the command");
  }

  Task<Result<ExecExit>> wait() override {
    while (!exit_) {
      if (heard_.size() >= sizeof(GuardWord)) {
        const GuardWord word = take_word();
        if (word.kind != kGuardExited) co_return Error::unavailable("no guard answers");
        const RunExit exit = describe_status(word.value);
        exit_ = ExecExit{.code = exit.code, .detail = exit.detail};
        break;
      }
      CO_TRY(const bool more, co_await hear());
      if (!more) exit_ = ExecExit{.code = 128 + SIGKILL, .detail = kLost};
    }
    co_return *exit_;
  }

 private:
  static void take(stream_descriptor& stream, Descriptor& end) {
    if (end) stream.assign(end.release());
  }
  static void close(stream_descriptor& stream) {
    boost::system::error_code ignored;
    stream.close(ignored);
  }

  // Nothing: it has ended, or has nothing now.
  std::optional<ExecOutput> read_now(bool errors, size_t bytes_max) {
    stream_descriptor& stream = errors ? err_ : out_;
    if (!stream.is_open()) return std::nullopt;
    ExecOutput found{.stream = errors ? ExecOutput::Stream::Err : ExecOutput::Stream::Out};
    found.bytes.resize(bytes_max);
    const ssize_t n = ::read(stream.native_handle(), found.bytes.data(), bytes_max);
    if (n > 0) {
      found.bytes.resize(static_cast<size_t>(n));
      return found;
    }
    // A terminal that nobody has open any more fails with EIO.
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) close(stream);
    return std::nullopt;
  }

  // False: the guard has ended.
  Task<Result<bool>> hear() {
    CO_TRY_DO(co_await wait_until(socket_, stream_descriptor::wait_read));
    CO_TRY(std::optional<ControlMessage> message, receive_message(socket_.native_handle()));
    if (!message) co_return true;
    if (!message->descriptors.empty()) given_ = std::move(message->descriptors[0]);
    heard_ += message->text;
    if (heard_.size() > kControlMessageBytesMax) co_return Error::unavailable("no guard answers");
    co_return !message->text.empty();
  }
  GuardWord take_word() {
    GuardWord word{};
    std::memcpy(&word, heard_.data(), sizeof word);
    heard_.erase(0, sizeof word);
    return word;
  }
  Error refused() const {
    const Result<ShimReply> reply = from_json_text<ShimReply>(heard_);
    return reply ? refusal(*reply) : reply.error();
  }
  Result<> take_terminal() {
    if (!given_ || !is_terminal_master(given_.get())) {
      return Error::unavailable("the command got no terminal");
    }
    TRY_DO(set_nonblocking(given_.get()));
    // Both directions are waited for at once.
    Descriptor copy(::fcntl(given_.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return system_error("cannot use the terminal");
    take(in_, copy);
    take(out_, given_);
    terminal_ = true;
    return {};
  }

  stream_descriptor socket_;
  stream_descriptor in_;
  stream_descriptor out_;
  stream_descriptor err_;
  std::string heard_;  // from the guard, not understood yet
  Descriptor given_;   // by the guard: a terminal
  bool terminal_ = false;
  bool errors_first_ = false;
  std::optional<ExecExit> exit_;
};

}  // namespace

Result<ExecPipes> make_exec_pipes() {
  ExecPipes pipes;
  TRY(auto in, make_pipe());
  TRY(auto out, make_pipe());
  TRY(auto err, make_pipe());
  pipes.ours = {
      .in = std::move(in.second), .out = std::move(out.first), .err = std::move(err.first)};
  pipes.theirs = {
      .in = std::move(in.first), .out = std::move(out.second), .err = std::move(err.second)};
  for (const Descriptor* end : {&pipes.ours.in, &pipes.ours.out, &pipes.ours.err}) {
    TRY_DO(set_nonblocking(end->get()));
  }
  return pipes;
}

Task<Result<std::unique_ptr<ExecStream>>> attach_exec(Descriptor socket, ExecEnds ours,
                                                      std::string program, Clock& clock,
                                                      Duration limit) {
  auto stream = std::make_unique<GuardedExec>(co_await asio::this_coro::executor, std::move(socket),
                                              std::move(ours));
  CO_TRY_DO(co_await within(clock, limit, stream->begin(std::move(program))));
  co_return std::unique_ptr<ExecStream>(std::move(stream));
}

}  // namespace mesclun::runtime
