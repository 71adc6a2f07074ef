#include "companion/process_table.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstring>

#include "base/file_limit.h"
#include "base/log.h"
#include "base/race.h"

namespace mesclun::companion {

namespace {

constexpr size_t kOutputBytesMax = 1024 * 1024;

// In the child: only async-signal-safe calls from here on.
[[noreturn]] void become(const ProcessTable::Start& start, char** argv, int error_fd) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // Ignored signals stay ignored over exec, and ours must not be the program's.
  ::signal(SIGPIPE, SIG_DFL);
  restore_file_limit();
  // It must not outlive us where no kernel clears up after process 1.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (start.own_group) ::setpgid(0, 0);
  if (start.stdout_fd >= 0) ::dup2(start.stdout_fd, STDOUT_FILENO);
  if (start.quiet) {
    const int nowhere = ::open("/dev/null", O_RDWR);
    ::dup2(nowhere, STDERR_FILENO);
    ::dup2(nowhere, STDIN_FILENO);
  }
  ::execvp(argv[0], argv);
  const int error = errno;
  const ssize_t written = ::write(error_fd, &error, sizeof error);
  ::_exit(written == sizeof error ? 127 : 126);
}

Error start_error(const std::string& program, int error) {
  const std::string text = fmt::format("cannot run {}: {}", program, std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return Error::not_found(text);
  return {ErrorCode::PermissionDenied, text};
}

}  // namespace

int ProcessEnd::exit_code() const {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string ProcessEnd::describe() const {
  if (WIFSIGNALED(status)) {
    return fmt::format("was ended by signal {} ({})", WTERMSIG(status),
                       ::strsignal(WTERMSIG(status)));
  }
  return fmt::format("exited with status {}", WEXITSTATUS(status));
}

ProcessTable::ProcessTable(const asio::any_io_executor& executor)
    : ended_signal_(executor, SIGCHLD), changed_(executor) {
  // Orphans come to us also where we are not process 1.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  listen();
}

void ProcessTable::listen() {
  ended_signal_.async_wait([this](boost::system::error_code error, int) {
    if (error) return;
    reap();
    listen();
  });
}

void ProcessTable::reap() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    const auto found = known_.find(pid);
    if (found == known_.end()) continue;  // an orphan
    found->second = ProcessEnd{status};
    changed_.notify_all();
  }
}

Result<pid_t> ProcessTable::start(const Start& start) {
  int error_pipe[2];
  if (::pipe2(error_pipe, O_CLOEXEC) != 0) return Error::unavailable(std::strerror(errno));
  std::vector<char*> argv;
  for (const std::string& argument : start.argv)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) {
    const int error = errno;
    ::close(error_pipe[0]);
    ::close(error_pipe[1]);
    return Error::unavailable(fmt::format("cannot start a process: {}", std::strerror(error)));
  }
  if (pid == 0) become(start, argv.data(), error_pipe[1]);
  if (start.own_group) ::setpgid(pid, pid);  // whoever of us two is first
  ::close(error_pipe[1]);
  int error = 0;
  ssize_t n = 0;
  do {
    n = ::read(error_pipe[0], &error, sizeof error);
  } while (n < 0 && errno == EINTR);
  ::close(error_pipe[0]);
  if (n == static_cast<ssize_t>(sizeof error)) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return start_error(start.argv.front(), error);
  }
  known_.emplace(pid, std::nullopt);
  return pid;
}

Task<Result<ProcessEnd>> ProcessTable::wait(pid_t pid) {
  while (true) {
    const auto found = known_.find(pid);
    if (found == known_.end()) co_return Error::not_found("no such process");
    if (found->second) {
      const ProcessEnd end = *found->second;
      known_.erase(found);
      co_return end;
    }
    CO_TRY_DO(co_await changed_.wait());
  }
}

Task<Result<CommandOutput>> ProcessRunner::run(std::vector<std::string> argv, Duration limit) {
  int output_pipe[2];
  if (::pipe2(output_pipe, O_CLOEXEC) != 0) co_return Error::unavailable(std::strerror(errno));
  ProcessTable::Start start{.argv = std::move(argv), .stdout_fd = output_pipe[1], .quiet = true};
  const std::string program = start.argv.front();
  Result<pid_t> pid = table_.start(start);
  ::close(output_pipe[1]);
  if (!pid) {
    ::close(output_pipe[0]);
    co_return pid.error();
  }
  CommandOutput out;
  Result<> ended = co_await within(clock_, limit, read_and_wait(output_pipe[0], *pid, out));
  if (!ended) {
    ::kill(-*pid, SIGKILL);
    if (ended.code() == ErrorCode::DeadlineExceeded) {
      co_return Error::deadline(
          fmt::format("{} did not end within {:.1f} s", program, to_seconds(limit)));
    }
    co_return ended.error();
  }
  co_return out;
}

Task<Result<>> ProcessRunner::read_and_wait(int descriptor, pid_t pid, CommandOutput& out) {
  asio::posix::stream_descriptor stream(co_await asio::this_coro::executor, descriptor);
  char chunk[4096];
  while (true) {
    const auto [error, n] =
        co_await stream.async_read_some(asio::buffer(chunk), asio::as_tuple(asio::use_awaitable));
    if (error == asio::error::operation_aborted) co_return Error::cancelled();
    if (error) break;  // the end
    if (out.out.size() < kOutputBytesMax) out.out.append(chunk, n);
  }
  CO_TRY(const ProcessEnd end, co_await table_.wait(pid));
  out.status = end.exit_code();
  co_return Result<>();
}

}  // namespace mesclun::companion
