#include "agent/control_endpoint.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "http/client.h"

namespace mesclun::agent {

namespace {

constexpr Duration kAskLimit = 10s;

HttpResponse problem(int status, std::string_view text) {
  HttpResponse response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain");
  response.body = text;
  return response;
}

HttpResponse refused_by_server(const Error& error) {
  return problem(http_status(error.code), error.message);
}

std::optional<link::NodeMode> wanted_mode(std::string_view path) {
  if (path == "/pause") return link::NodeMode::Paused;
  if (path == "/resume") return link::NodeMode::Active;
  if (path == "/drain") return link::NodeMode::Draining;
  return std::nullopt;
}

Task<HttpResponse> answer(NodeAgent& agent, HttpRequest request) {
  const std::string& method = request.head.method;
  const std::optional<link::NodeMode> mode = wanted_mode(request.path());
  if (request.path() != "/status" && !mode) co_return problem(404, "there is no such path");
  if (method != (mode ? "POST" : "GET")) co_return problem(405, "another method is needed");
  if (mode) {
    const Result<> changed = agent.set_mode(*mode);
    if (!changed) co_return refused_by_server(changed.error());
  }
  HttpResponse response;
  response.headers.add("Content-Type", "application/json");
  response.body = to_json_text(agent_status(agent));
  co_return response;
}

}  // namespace

AgentStatus agent_status(const NodeAgent& agent) {
  AgentStatus status{.machine_id = agent.machine_id(),
                     .hostname = agent.facts().hostname,
                     .mode = agent.mode(),
                     .cloud = agent.session_state(),
                     .tunnels = static_cast<int64_t>(agent.tunnels_up()),
                     .events_waiting = static_cast<int64_t>(agent.events_waiting()),
                     .warnings = agent.facts().warnings,
                     .runtime = agent.facts().runtime};
  if (!agent.trouble().empty()) {
    status.warnings.push_back("takes nothing new: " + agent.trouble());
  }
  for (const auto& [allocation_id, replica] : agent.report().instances) {
    InstanceStatus line{.instance_id = replica.instance_id,
                        .group = agent.group_name(allocation_id),
                        .state = replica.state,
                        .ready = replica.ready,
                        .reason = replica.reason};
    status.instances.push_back(std::move(line));
  }
  return status;
}

Endpoint control_endpoint(const std::filesystem::path& data) {
  return {.host = (data / "control.sock").string(), .is_unix = true};
}

ControlEndpoint::ControlEndpoint(const asio::any_io_executor& executor, Clock& clock,
                                 NodeAgent& agent)
    : server_(
          executor, clock, "agent control", HttpLimits{.connections_max = 16},
          [&agent](HttpRequest request) { return answer(agent, std::move(request)); },
          refused_by_server) {}

Result<> ControlEndpoint::open(const asio::any_io_executor& executor,
                               const std::filesystem::path& data) {
  const Endpoint endpoint = control_endpoint(data);
  // The folder is ours alone (0700), so nobody else reaches the socket before its own mode is set.
  TRY(Listener listener, Listener::bind(executor, endpoint));
  ::chmod(endpoint.host.c_str(), 0600);
  server_.serve(std::move(listener));
  return {};
}

Task<Result<AgentStatus>> ask_agent(std::filesystem::path data, Clock& clock, std::string verb) {
  HttpClient client(clock, control_endpoint(data), kAskLimit);
  HttpCall call{.method = verb == "status" ? "GET" : "POST", .target = "/" + verb};
  Result<HttpReply> reply = co_await client.call(std::move(call));
  if (!reply) {
    co_return Error::unavailable(
        fmt::format("no agent answers in {} ({})", data.string(), reply.error().message));
  }
  if (reply->status != 200) co_return Error::unavailable(reply->body);
  co_return from_json_text<AgentStatus>(reply->body);
}

std::string describe(const AgentStatus& status) {
  std::string out = fmt::format("node {} ({})\nmode {}\ncloud {}\ntunnels {}\nevents waiting {}\n",
                                status.machine_id, status.hostname, enum_name(status.mode),
                                status.cloud, status.tunnels, status.events_waiting);
  if (status.runtime) out += fmt::format("runtime {}\n", *status.runtime);
  for (const std::string& warning : status.warnings) out += "warning: " + warning + "\n";
  for (const InstanceStatus& instance : status.instances) {
    out += fmt::format("instance {} of {}: {}{}{}{}\n", instance.instance_id, instance.group,
                       enum_name(instance.state), instance.ready ? ", ready" : "",
                       instance.reason.empty() ? "" : ", ", instance.reason);
  }
  return out;
}

}  // namespace mesclun::agent
