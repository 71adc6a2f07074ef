#include "runtime/docker/docker_exec.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/race.h"
#include "runtime/docker/answer.h"
#include "runtime/exec_guard.h"
#include "runtime/guarded_exec.h"
#include "runtime/shim/shim_control.h"

namespace mesclun::runtime {

namespace {

// An engine takes a tenth of a second to start something in a container, a busy one seconds.
constexpr Duration kGuardLimit = 20s;
constexpr Duration kBeginLimit = 10s;

// Where one guard finds us; gone once it has come.
class Door {
 public:
  static Result<Door> open(const asio::any_io_executor& executor, const DockerRun& run,
                           std::string name) {
    std::string path = fmt::format("{}/door/{}", run.record.folder, name);
    ::unlink(path.c_str());
    TRY(Listener listener, Listener::bind(executor, Endpoint{.host = path, .is_unix = true}));
    Door door(std::move(listener), path, std::move(name));
    // Images may run as any user.
    if (::chmod(path.c_str(), 0666) != 0) return system_error("cannot open " + path);
    return door;
  }
  Door(Door&& other) noexcept = default;
  Door& operator=(Door&&) = delete;
  ~Door() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  const std::string& name() const { return name_; }
  Task<Result<Descriptor>> accept(Clock& clock) {
    CO_TRY(const ConnPtr conn, co_await listener_.accept(clock));
    Descriptor socket(conn->release_descriptor());
    if (!socket) co_return Error::internal("a socket without a descriptor");
    co_return socket;
  }

 private:
  Door(Listener listener, std::string path, std::string name)
      : listener_(std::move(listener)), path_(std::move(path)), name_(std::move(name)) {}

  Listener listener_;
  std::string path_;
  std::string name_;
};

json::object order_of(const DockerRun& run, const ExecSpec& spec, const std::string& door) {
  std::map<std::string, std::string> variables = spec.environment;
  variables.insert(run.record.orders.environment.begin(), run.record.orders.environment.end());
  json::array environment;
  for (const auto& [name, value] : variables) environment.emplace_back(name + "=" + value);
  return {{"Cmd", json::array{"/.mesclun/start", door}}, {"Env", std::move(environment)}};
}

// All that the guard must know, in one message as far as its socket takes it.
Task<Result<>> give_orders(int socket, ExecSpec spec, std::vector<int> ends) {
  std::string texts;
  for (const std::string& word : spec.command) texts.append(word).push_back('\0');
  if (texts.size() > kOrdersBytesMax) {
    co_return Error::invalid(fmt::format("a command of more than {} bytes", kOrdersBytesMax));
  }
  const GuardOrders orders{.bytes = static_cast<uint32_t>(texts.size()),
                           .arguments = static_cast<uint32_t>(spec.command.size()),
                           .tty = spec.tty,
                           .rows = spec.size.rows,
                           .columns = spec.size.columns,
                           .unused = 0};
  const std::string_view head(reinterpret_cast<const char*>(&orders), sizeof orders);
  CO_TRY_DO(send_message(socket, head, ends));
  const int copy = ::dup(socket);
  if (copy < 0) co_return system_error("cannot reach the guard");
  asio::posix::stream_descriptor descriptor(co_await asio::this_coro::executor, copy);
  std::string_view left = texts;
  while (!left.empty()) {
    const ssize_t n = ::send(socket, left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      left.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return system_error("cannot reach the guard");
    if (co_await cancel_requested()) co_return Error::cancelled();
    auto [error] = co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_write,
                                                  asio::as_tuple(asio::use_awaitable));
    if (error) co_return Error::cancelled();
  }
  co_return Result<>();
}

// A program that is no guard would wait for ever.
Task<void> kill_stranger(Engine& engine, std::string exec) {
  const Result<json::value> told = co_await engine.call({.target = exec + "/json"});
  const int64_t process = told && flag_of(*told, "Running") ? number_of(*told, "Pid") : 0;
  if (process > 0) ::kill(static_cast<pid_t>(process), SIGKILL);
}

}  // namespace

Task<Result<std::unique_ptr<ExecStream>>> open_docker_exec(std::shared_ptr<DockerRun> run,
                                                           Engine& engine, Clock& clock,
                                                           ExecSpec spec) {
  const std::string program = spec.command[0];
  CO_TRY(Door door, Door::open(co_await asio::this_coro::executor, *run,
                               fmt::format("exec-{}", ++run->execs_begun)));
  ExecPipes pipes;
  std::vector<int> ends;
  if (!spec.tty) {
    CO_TRY(pipes, make_exec_pipes());
    ends = pipes.theirs.numbers();
  }
  const std::string target = "/containers/" + run->record.container + "/exec";
  json::object order = order_of(*run, spec, door.name());
  CO_TRY(const json::value made,
         co_await engine.call(
             {.method = "POST", .target = target, .body = json::serialize(std::move(order))}));
  const std::string exec = "/exec/" + text_of(made, "Id");
  CO_TRY_DO(co_await engine.call(
      {.method = "POST", .target = exec + "/start", .body = R"({"Detach": true, "Tty": false})"}));
  Result<Descriptor> socket = co_await within(clock, kGuardLimit, door.accept(clock));
  if (!socket) {
    const bool late = socket.code() == ErrorCode::DeadlineExceeded;
    if (late) co_await kill_stranger(engine, exec);
    co_return late ? Error::unavailable(
                         "the container's own part of it does not answer; recreate "
                         "the instance")
                   : socket.error();
  }
  const Result<> given = co_await within(
      clock, kBeginLimit, give_orders(socket->get(), std::move(spec), std::move(ends)));
  if (!given) co_return given.error();
  pipes.theirs = {};
  co_return co_await attach_exec(*std::move(socket), std::move(pipes.ours), program, clock,
                                 kBeginLimit);
}

}  // namespace mesclun::runtime
