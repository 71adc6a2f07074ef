// The door for the machine's owner: a unix socket in the data folder, plain HTTP on it.
//
//   GET  /status                     what runs here, as JSON
//   POST /pause, /resume, /drain     changes the mode; answers with the status
#pragma once

#include <filesystem>

#include "agent/node_agent.h"

namespace mesclun::agent {

struct InstanceStatus {
  std::string instance_id;
  std::string group;
  link::RunState state = link::RunState::Creating;
  bool ready = false;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(InstanceStatus, (), (instance_id, group, state, ready, reason))

struct AgentStatus {
  std::string machine_id;
  std::string hostname;
  link::NodeMode mode = link::NodeMode::Active;
  std::string cloud;  // "connected", or why not
  int64_t tunnels = 0;
  int64_t events_waiting = 0;
  std::vector<std::string> warnings;
  std::optional<std::string> runtime;  // what runs instances
  std::vector<InstanceStatus> instances;
};
BOOST_DESCRIBE_STRUCT(AgentStatus, (),
                      (machine_id, hostname, mode, cloud, tunnels, events_waiting, warnings,
                       runtime, instances))

AgentStatus agent_status(const NodeAgent& agent);

Endpoint control_endpoint(const std::filesystem::path& data);

// Serves the door. Lifetime: `agent` outlives it; close() before destruction.
class ControlEndpoint {
 public:
  ControlEndpoint(const asio::any_io_executor& executor, Clock& clock, NodeAgent& agent);
  // Unavailable: the socket cannot be made.
  Result<> open(const asio::any_io_executor& executor, const std::filesystem::path& data);
  Task<void> close() { return server_.stop(); }

 private:
  HttpServer server_;
};

// The other side of the door: what `verb` ("status", "pause", "resume", "drain") answers.
// Unavailable: no agent works in that folder.
Task<Result<AgentStatus>> ask_agent(std::filesystem::path data, Clock& clock, std::string verb);

// A few lines for people.
std::string describe(const AgentStatus& status);

}  // namespace mesclun::agent
