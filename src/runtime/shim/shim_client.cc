#include "runtime/shim/shim_client.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/file_limit.h"
#include "base/race.h"

namespace mesclun::runtime {

namespace {

using asio::posix::stream_descriptor;

constexpr size_t kAnswerBytesMax = 64 * 1024;

Task<Result<>> wait_readable(stream_descriptor& descriptor) {
  if (co_await cancel_requested()) co_return Error::cancelled();
  auto [error] = co_await descriptor.async_wait(stream_descriptor::wait_read,
                                                asio::as_tuple(asio::use_awaitable));
  if (error == asio::error::operation_aborted) co_return Error::cancelled();
  if (error) co_return Error::unavailable(error.message());
  co_return Result<>();
}

Task<Result<ShimAnswer>> converse(std::string run_folder, ShimRequest request, Clock& clock) {
  CO_TRY(Descriptor socket, co_await connect_shim(std::move(run_folder), clock));
  const std::string text = to_json_text(request);
  if (text.size() > kControlMessageBytesMax) {
    co_return Error::invalid(fmt::format("more than {} bytes", kControlMessageBytesMax));
  }
  CO_TRY_DO(send_message(socket.get(), text));
  stream_descriptor descriptor(co_await asio::this_coro::executor, socket.release());
  while (true) {
    CO_TRY_DO(co_await wait_readable(descriptor));
    CO_TRY(std::optional<ControlMessage> message, receive_message(descriptor.native_handle()));
    if (!message) continue;
    if (message->text.empty()) co_return Error::unavailable("the shim has ended");
    ShimAnswer answer{.descriptors = std::move(message->descriptors)};
    CO_TRY(answer.reply, from_json_text<ShimReply>(message->text));
    if (!answer.reply.error.empty()) co_return refusal(answer.reply);
    co_return answer;
  }
}

}  // namespace

Task<Result<Descriptor>> connect_shim(std::string run_folder, Clock& clock) {
  while (true) {
    Result<Descriptor> socket = connect_control(run_folder);
    if (socket || socket.code() != ErrorCode::ResourceExhausted) co_return socket;
    CO_TRY_DO(co_await clock.sleep_for(5ms));
  }
}

Error refusal(const ShimReply& reply) {
  return {error_code_named(reply.error_code).value_or(ErrorCode::Internal), reply.error};
}

Task<Result<ShimAnswer>> ask_shim(std::string run_folder, ShimRequest request, Clock& clock,
                                  Duration limit) {
  co_return co_await within(clock, limit,
                            converse(std::move(run_folder), std::move(request), clock));
}

Task<Result<>> wait_for_process(int pidfd) {
  const int copy = ::fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) co_return system_error("cannot watch a process");
  stream_descriptor descriptor(co_await asio::this_coro::executor, copy);
  co_return co_await wait_readable(descriptor);
}

Result<ShimProcess> spawn_shim(const std::string& program, std::vector<std::string> arguments,
                               const std::string& complaints) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("no pipe");
  ShimProcess process{.answer = Descriptor(ends[0])};
  const Descriptor writing(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);

  arguments.insert(arguments.begin(), {"mesclun", "shim"});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  char* nothing[] = {nullptr};  // the environment

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, writing.get(), 1);
  ::posix_spawn_file_actions_addopen(&actions, 2, complaints.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  sigset_t signals;
  ::sigfillset(&signals);
  ::posix_spawnattr_setsigdefault(&attributes, &signals);
  ::sigemptyset(&signals);
  ::posix_spawnattr_setsigmask(&attributes, &signals);
  const RestoredFileLimit as_we_were_started;
  errno =
      ::posix_spawn(&process.pid, program.c_str(), &actions, &attributes, pointers.data(), nothing);
  const int error = errno;
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  errno = error;
  if (error != 0) return system_error("cannot start " + program);
  return process;
}

namespace {

Task<Result<std::string>> read_to_end(Descriptor source) {
  stream_descriptor descriptor(co_await asio::this_coro::executor, source.release());
  std::string text;
  char buffer[4096];
  while (text.size() < kAnswerBytesMax) {
    CO_TRY_DO(co_await wait_readable(descriptor));
    const ssize_t n = ::read(descriptor.native_handle(), buffer, sizeof buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) co_return system_error("cannot read the shim's answer");
    if (n == 0) co_return text;
    text.append(buffer, static_cast<size_t>(n));
  }
  co_return Error{ErrorCode::OutOfRange, "the shim's answer is too long"};
}

}  // namespace

Task<Result<std::string>> read_answer(Descriptor answer, Clock& clock, Duration limit) {
  co_return co_await within(clock, limit, read_to_end(std::move(answer)));
}

void kill_shim(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

}  // namespace mesclun::runtime
