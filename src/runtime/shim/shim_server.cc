#include "runtime/shim/shim_server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>

#include "runtime/walls/netns_egress.h"

namespace mesclun::runtime {

namespace {

constexpr size_t kConnectionsMax = 64;
constexpr size_t kExecsMax = 32;  // probes and people's together

ShimReply failure(ErrorCode code, std::string message) {
  ShimReply reply;
  reply.error = std::move(message);
  reply.error_code = to_string(code);
  return reply;
}
ShimReply failure(const Error& error) {
  return failure(error.code, error.message);
}

ShimReply make_sockets(const ShimRequest& request, std::vector<Descriptor>& descriptors) {
  const int family = request.family == AF_INET6 ? AF_INET6 : AF_INET;
  const auto count = std::clamp<int32_t>(request.count, 1, kControlDescriptorsMax);
  for (int32_t i = 0; i < count; ++i) {
    Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return failure(system_error("no socket"));
    descriptors.push_back(std::move(socket));
  }
  return {};
}

ShimReply start(ShimApplication& application) {
  const Result<int64_t> start_time = application.start();
  if (!start_time) return failure(start_time.error());
  ShimReply reply;
  reply.start_time = *start_time;
  return reply;
}

Descriptor copy_of(const Descriptor& descriptor) {
  return Descriptor(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 0));
}

}  // namespace

ShimServer::ShimServer(Setup setup, ShimApplication& application, Clock& clock)
    : sockets_(std::move(setup)), application_(application), clock_(clock) {}

void ShimServer::add_waits(std::vector<pollfd>& waits) const {
  waits.push_back({.fd = sockets_.control.get(), .events = POLLIN, .revents = 0});
  for (const auto& connection : connections_) {
    waits.push_back({.fd = connection->socket.get(), .events = POLLIN, .revents = 0});
  }
}

void ShimServer::serve(std::span<const pollfd> waits) {
  for (size_t i = 1; i < waits.size(); ++i) {
    if (waits[i].revents != 0) serve(*connections_[i - 1]);
  }
  std::erase_if(connections_, [](const auto& connection) { return !connection->socket; });
  if (waits[0].revents != 0) accept();
}

void ShimServer::accept() {
  while (connections_.size() < kConnectionsMax) {
    Descriptor socket(
        ::accept4(sockets_.control.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    connections_.push_back(std::make_unique<Connection>());
    connections_.back()->socket = std::move(socket);
  }
}

void ShimServer::serve(Connection& connection) {
  Result<std::optional<ControlMessage>> message = receive_message(connection.socket.get());
  if (message && !*message) return;
  if (!message || (*message)->text.empty()) {
    // Nobody waits for its command any more.
    if (connection.exec != 0) ::kill(-connection.exec, SIGKILL);
    connection.socket.reset();
    return;
  }
  const Result<ShimRequest> request = from_json_text<ShimRequest>((*message)->text);
  std::vector<Descriptor> descriptors = std::move((*message)->descriptors);
  const ShimReply reply =
      request ? answer(*request, connection, descriptors) : failure(request.error());
  if (connection.exec != 0) return;
  if (request && request->verb == ShimVerb::Attach && reply.error.empty()) {
    connection.socket.reset();
    return;
  }
  std::vector<int> numbers;
  for (const Descriptor& descriptor : descriptors) numbers.push_back(descriptor.get());
  if (!send_message(connection.socket.get(), to_json_text(reply), numbers))
    connection.socket.reset();
}

ShimReply ShimServer::answer(const ShimRequest& request, Connection& connection,
                             std::vector<Descriptor>& descriptors) {
  const std::vector<Descriptor> came = std::exchange(descriptors, {});
  switch (request.verb) {
    case ShimVerb::Start:
      return start(application_);
    case ShimVerb::Stop:
      application_.stop(std::chrono::milliseconds(std::max<int64_t>(request.limit_ms, 0)));
      return {};
    case ShimVerb::Sockets:
      return make_sockets(request, descriptors);
    case ShimVerb::Metadata:
      descriptors.push_back(copy_of(sockets_.metadata));
      return {};
    case ShimVerb::Services:
      for (const Descriptor& service : sockets_.services) {
        descriptors.push_back(copy_of(service));
      }
      return {};
    case ShimVerb::Egress: {
      const Result<> entered =
          enter_egress(request.address, request.gateway, application_.record().isolation.processes);
      return entered ? ShimReply{} : failure(entered.error());
    }
    case ShimVerb::Exec:
      return exec(request, connection);
    case ShimVerb::Attach:
      return attach(request, connection, came);
  }
  return failure(ErrorCode::Unimplemented, "unknown request");
}

ShimReply ShimServer::exec(const ShimRequest& request, Connection& connection) {
  if (!application_.running()) {
    return failure(ErrorCode::FailedPrecondition, "the application does not run");
  }
  if (connection.exec != 0 || commands() >= kExecsMax) {
    return failure(ErrorCode::ResourceExhausted, "too many commands run at once");
  }
  ChildSpec spec = application_.child_spec();
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

size_t ShimServer::commands() const {
  const auto running =
      std::ranges::count_if(connections_, [](const auto& other) { return other->exec != 0; });
  return static_cast<size_t>(running) + guards_.size();
}

ShimReply ShimServer::attach(const ShimRequest& request, Connection& connection,
                             std::span<const Descriptor> ends) {
  if (!application_.running()) {
    return failure(ErrorCode::FailedPrecondition, "the application does not run");
  }
  if (connection.exec != 0 || commands() >= kExecsMax) {
    return failure(ErrorCode::ResourceExhausted, "too many commands run at once");
  }
  if (request.command.empty() || ends.size() != (request.tty ? 0 : 3)) {
    return failure(ErrorCode::InvalidArgument, "no command, or not its three streams");
  }
  ChildSpec spec = application_.child_spec();
  spec.command = request.command;
  for (const auto& [name, value] : request.environment) spec.environment[name] = value;
  std::vector<int> numbers;
  for (const Descriptor& end : ends) numbers.push_back(end.get());
  const GuardSetup setup{.socket = connection.socket.get(),
                         .tty = request.tty,
                         .rows = static_cast<uint16_t>(request.rows),
                         .columns = static_cast<uint16_t>(request.columns)};
  const Result<pid_t> pid = spawn_guard(spec, setup, numbers);
  if (!pid) return failure(pid.error());
  guards_.insert(*pid);
  return {};
}

void ShimServer::on_child_ended(pid_t pid, int status) {
  guards_.erase(pid);
  for (const auto& connection : connections_) {
    if (connection->exec != pid) continue;
    connection->exec = 0;
    ShimReply reply;
    reply.exit_code = describe_status(status).code;
    reply.timed_out = connection->exec_timed_out;
    if (!send_message(connection->socket.get(), to_json_text(reply))) connection->socket.reset();
  }
}

void ShimServer::on_time() {
  const TimePoint now = clock_.now();
  for (const auto& connection : connections_) {
    if (connection->exec == 0 || connection->exec_timed_out || now < connection->exec_limit)
      continue;
    connection->exec_timed_out = true;
    ::kill(-connection->exec, SIGKILL);
  }
}

TimePoint ShimServer::next_time() const {
  TimePoint next = TimePoint::max();
  for (const auto& connection : connections_) {
    if (connection->exec != 0 && !connection->exec_timed_out) {
      next = std::min(next, connection->exec_limit);
    }
  }
  return next;
}

}  // namespace mesclun::runtime
