#include "runtime/shim/shim_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>

#include "runtime/walls/cgroup.h"
#include "runtime/walls/netns_egress.h"

namespace mesclun::runtime {

namespace {

constexpr size_t kConnectionsMax = 64;
constexpr size_t kExecsMax = 32;
// A turn reads at most this much of a stream, so that a flood does not shut out the agent.
constexpr size_t kReadsPerTurn = 4;
// Descriptors of the application's output may have been handed out of the run; then no end comes.
constexpr Duration kDrainMax = 1s;
constexpr Duration kKillAgainAfter = 50ms;
constexpr Duration kLookAroundEvery = 5s;
// When the machine shuts down it asks all processes at once and gives them about 90 s.
constexpr Duration kGraceOfShutdown = 30s;
constexpr const char* kKeeperKilled = "the keeper of the process that watches over it was killed";

ShimReply failure(ErrorCode code, std::string message) {
  ShimReply reply;
  reply.error = std::move(message);
  reply.error_code = to_string(code);
  return reply;
}
ShimReply failure(const Error& error) {
  return failure(error.code, error.message);
}

}  // namespace

ShimLoop::ShimLoop(Setup setup)
    : run_(std::move(setup)), log_(".", static_cast<size_t>(run_.record.log_bytes_max)) {
  look_around_at_ = clock_.now() + kLookAroundEvery;
}

void ShimLoop::run() {
  while (phase_ != Phase::Done) turn();
}

void ShimLoop::turn() {
  std::vector<pollfd> waits;
  const auto wait_for = [&waits](const Descriptor& descriptor) {
    waits.push_back({.fd = descriptor.get(), .events = POLLIN, .revents = 0});
  };
  wait_for(run_.signals);
  wait_for(run_.control);
  wait_for(out_);  // -1 is skipped by poll
  wait_for(err_);
  const size_t served = connections_.size();
  for (const auto& connection : connections_) wait_for(connection->socket);
  ::poll(waits.data(), waits.size(), poll_timeout_ms());

  if (waits[2].revents != 0) read_stream(out_, 'o');
  if (waits[3].revents != 0) read_stream(err_, 'e');
  for (size_t i = 0; i < served; ++i) {
    if (waits[4 + i].revents != 0) serve(*connections_[i]);
  }
  std::erase_if(connections_, [](const auto& connection) { return !connection->socket; });
  if (waits[1].revents != 0) accept_connections();
  if (waits[0].revents != 0) on_signals();
  on_time();
}

int ShimLoop::poll_timeout_ms() const {
  TimePoint next = look_around_at_;
  if (phase_ == Phase::Killing) next = std::min(next, kill_again_at_);
  if (phase_ == Phase::Draining) next = std::min(next, drain_until_);
  if (kill_at_ && !grace_ended_) next = std::min(next, *kill_at_);
  for (const auto& connection : connections_) {
    if (connection->exec != 0 && !connection->exec_timed_out) {
      next = std::min(next, connection->exec_limit);
    }
  }
  const Duration left = std::max(next - clock_.now(), Duration::zero());
  return static_cast<int>(to_millis(left)) + 1;
}

void ShimLoop::on_time() {
  const TimePoint now = clock_.now();
  if (phase_ == Phase::Running && kill_at_ && !grace_ended_ && now >= *kill_at_) {
    grace_ended_ = true;
    kill_all();
  }
  for (const auto& connection : connections_) {
    if (connection->exec == 0 || connection->exec_timed_out || now < connection->exec_limit)
      continue;
    connection->exec_timed_out = true;
    ::kill(-connection->exec, SIGKILL);
  }
  if (phase_ == Phase::Killing && now >= kill_again_at_) kill_all();
  if (phase_ == Phase::Killing) collect_children();
  if (phase_ == Phase::Draining && ((!out_ && !err_) || now >= drain_until_)) finish();
  if (now >= look_around_at_) {
    look_around_at_ = now + kLookAroundEvery;
    // Without its folder nobody will ever ask for this run again.
    struct stat status{};
    if (::stat(".", &status) == 0 && status.st_nlink == 0) end_application({.code = 137});
  }
}

void ShimLoop::on_signals() {
  signalfd_siginfo info{};
  while (::read(run_.signals.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM) stop(kGraceOfShutdown);
    // Nobody would end the run if we were killed too.
    if (info.ssi_signo == SIGHUP) end_application({.code = 137, .detail = kKeeperKilled});
  }
  collect_children();
}

void ShimLoop::collect_children() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == application_) {
      application_ = 0;
      end_application(describe_status(status));
    } else if (pid == run_.init) {
      run_.init = 0;
      // Somebody killed it, and with it all of the run.
      if (phase_ == Phase::Waiting) end_application({.code = 137});
    }
    for (const auto& connection : connections_) {
      if (connection->exec != pid) continue;
      connection->exec = 0;
      ShimReply reply;
      reply.exit_code = describe_status(status).code;
      reply.timed_out = connection->exec_timed_out;
      if (!send_message(connection->socket.get(), to_json_text(reply))) connection->socket.reset();
    }
  }
  if (pid < 0 && errno == ECHILD && phase_ == Phase::Killing) {
    phase_ = Phase::Draining;
    drain_until_ = clock_.now() + kDrainMax;
  }
}

void ShimLoop::accept_connections() {
  while (connections_.size() < kConnectionsMax) {
    Descriptor socket(
        ::accept4(run_.control.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    connections_.push_back(std::make_unique<Connection>());
    connections_.back()->socket = std::move(socket);
  }
}

void ShimLoop::serve(Connection& connection) {
  Result<std::optional<ControlMessage>> message = receive_message(connection.socket.get());
  if (message && !*message) return;
  if (!message || (*message)->text.empty()) {
    // Nobody waits for its command any more.
    if (connection.exec != 0) ::kill(-connection.exec, SIGKILL);
    connection.socket.reset();
    return;
  }
  const Result<ShimRequest> request = from_json_text<ShimRequest>((*message)->text);
  std::vector<Descriptor> descriptors;
  const ShimReply reply =
      request ? answer(*request, connection, descriptors) : failure(request.error());
  if (connection.exec != 0) return;
  std::vector<int> numbers;
  for (const Descriptor& descriptor : descriptors) numbers.push_back(descriptor.get());
  if (!send_message(connection.socket.get(), to_json_text(reply), numbers))
    connection.socket.reset();
}

ShimReply ShimLoop::answer(const ShimRequest& request, Connection& connection,
                           std::vector<Descriptor>& descriptors) {
  switch (request.verb) {
    case ShimVerb::Start:
      return start();
    case ShimVerb::Stop:
      stop(std::chrono::milliseconds(std::max<int64_t>(request.limit_ms, 0)));
      return {};
    case ShimVerb::Sockets:
      return make_sockets(request, descriptors);
    case ShimVerb::Metadata:
      descriptors.emplace_back(::fcntl(run_.metadata.get(), F_DUPFD_CLOEXEC, 0));
      return {};
    case ShimVerb::Services:
      for (const Descriptor& service : run_.services) {
        descriptors.emplace_back(::fcntl(service.get(), F_DUPFD_CLOEXEC, 0));
      }
      return {};
    case ShimVerb::Egress: {
      const Result<> entered =
          enter_egress(request.address, request.gateway, run_.record.isolation.processes);
      return entered ? ShimReply{} : failure(entered.error());
    }
    case ShimVerb::Exec:
      return exec(request, connection);
  }
  return failure(ErrorCode::Unimplemented, "unknown request");
}

ChildSpec ShimLoop::child_spec() const {
  return {.command = run_.record.command,
          .environment = run_.record.environment,
          .folder = run_.record.folder,
          .cgroups = run_.record.cgroups};
}

ShimReply ShimLoop::start() {
  if (phase_ != Phase::Waiting) return failure(ErrorCode::FailedPrecondition, "started already");
  int out[2];
  int err[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return failure(system_error("no pipe"));
  out_.reset(out[0]);
  Descriptor out_end(out[1]);
  if (::pipe2(err, O_CLOEXEC) != 0) return failure(system_error("no pipe"));
  err_.reset(err[0]);
  Descriptor err_end(err[1]);
  for (const int descriptor : {out[0], err[0]}) ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
  ChildSpec spec = child_spec();
  spec.out = out_end.get();
  spec.err = err_end.get();
  const Result<pid_t> pid = spawn_child(spec);
  if (!pid) {
    end_application({.code = -1, .start_failure = true, .detail = pid.error().message});
    return {};
  }
  application_ = *pid;
  phase_ = Phase::Running;
  run_.state.start_time = wall_ns();
  // Needed only without an init; with one, this process sees the run's own /proc, not the
  // machine's.
  if (!run_.record.isolation.processes) {
    if (const Result<ProcessRef> process = process_ref(*pid)) run_.state.application = *process;
  }
  if (const Result<> kept = write_record("shim.json", run_.state); !kept) {
    kill_all();
    return failure(kept.error());
  }
  ShimReply reply;
  reply.start_time = run_.state.start_time;
  return reply;
}

ShimReply ShimLoop::exec(const ShimRequest& request, Connection& connection) {
  if (phase_ != Phase::Running) {
    return failure(ErrorCode::FailedPrecondition, "the application does not run");
  }
  const auto running =
      std::ranges::count_if(connections_, [](const auto& other) { return other->exec != 0; });
  if (connection.exec != 0 || static_cast<size_t>(running) >= kExecsMax) {
    return failure(ErrorCode::ResourceExhausted, "too many commands run at once");
  }
  ChildSpec spec = child_spec();
  spec.command = request.command;
  const Result<pid_t> pid = spawn_child(spec);
  if (!pid) {
    // What a shell would say.
    const bool missing = pid.code() == ErrorCode::NotFound;
    const bool refused = pid.code() == ErrorCode::PermissionDenied;
    if (!missing && !refused) return failure(pid.error());
    ShimReply reply;
    reply.exit_code = missing ? 127 : 126;
    return reply;
  }
  connection.exec = *pid;
  connection.exec_timed_out = false;
  connection.exec_limit = clock_.now() + std::chrono::milliseconds(request.limit_ms);
  return {};
}

ShimReply ShimLoop::make_sockets(const ShimRequest& request, std::vector<Descriptor>& descriptors) {
  const int family = request.family == AF_INET6 ? AF_INET6 : AF_INET;
  const auto count = std::clamp<int32_t>(request.count, 1, kControlDescriptorsMax);
  for (int32_t i = 0; i < count; ++i) {
    Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return failure(system_error("no socket"));
    descriptors.push_back(std::move(socket));
  }
  return {};
}

void ShimLoop::stop(Duration grace) {
  if (phase_ == Phase::Waiting) {
    end_application({.code = 128 + SIGTERM, .detail = "stopped before it was started"});
    return;
  }
  if (phase_ != Phase::Running) return;
  const TimePoint end = clock_.now() + grace;
  if (!kill_at_) ::kill(-application_, SIGTERM);
  // Asked twice: the shorter patience counts.
  if (kill_at_ && *kill_at_ <= end) return;
  kill_at_ = end;
  grace_ = grace;
}

void ShimLoop::end_application(RunExit exit) {
  if (phase_ != Phase::Waiting && phase_ != Phase::Running) return;
  exit.time = wall_ns();
  if (const int64_t kills = out_of_memory_kills(run_.record.cgroups);
      kills > 0 && exit.code == 128 + SIGKILL && !grace_ended_) {
    exit.detail = fmt::format("out of memory: more than {:.0f} MiB",
                              static_cast<double>(run_.record.memory_bytes) / (1024 * 1024));
  } else if (grace_ended_ && exit.code == 128 + SIGKILL) {
    exit.detail = fmt::format("killed, did not end within {:.0f} s of SIGTERM", to_seconds(grace_));
  }
  exit_ = std::move(exit);
  phase_ = Phase::Killing;
  kill_all();
}

void ShimLoop::kill_all() {
  kill_again_at_ = clock_.now() + kKillAgainAfter;
  if (run_.record.isolation.processes) {
    if (run_.init != 0) ::kill(run_.init, SIGKILL);
    return;
  }
  if (application_ != 0) ::kill(-application_, SIGKILL);
  kill_cgroups(run_.record.cgroups);
  for (const pid_t pid : descendants(::getpid())) ::kill(pid, SIGKILL);
}

void ShimLoop::read_stream(Descriptor& pipe, char stream) {
  char buffer[64 * 1024];
  for (size_t i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t n = ::read(pipe.get(), buffer, sizeof buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      pipe.reset();
      return;
    }
    log_.write(stream, std::string_view(buffer, static_cast<size_t>(n)), wall_ns());
  }
}

void ShimLoop::finish() {
  log_.finish(wall_ns());
  // Busy for a moment after the last process; the agent sees to what is left.
  for (int i = 0; i < 50 && !remove_cgroups(run_.record.cgroups); ++i) ::poll(nullptr, 0, 10);
  std::string text = to_json_text(*exit_);
  // What keeps its blocks; JSON does not mind.
  if (text.size() < kExitBytes) text.resize(kExitBytes, ' ');
  Result<> kept = run_.exit_file.write(text);
  // After a power loss nobody asks how a run ended that could not outlive it.
  if (kept) kept = run_.exit_file.commit(Durability::ProcessCrash);
  if (!kept) ::dprintf(STDERR_FILENO, "%s\n", kept.error().message.c_str());
  ::unlink("control");
  phase_ = Phase::Done;
}

}  // namespace mesclun::runtime
