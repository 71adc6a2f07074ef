// The agents that `mesclun up` runs on this machine, each a process of its own, so that one can be
// killed like a machine that vanishes.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/socket_conn.h"

namespace mesclun {

// One `--node` of the command line: "country=us,cpu-share=80,gpu-class=RTX 4090 (24 GB)".
struct NodeWish {
  std::string name;
  std::string country = "us";
  int cpu = 0;          // cores offered; 0: the machine's
  std::string memory;   // as --memory of `mesclun agent`; empty: an equal part of the machine's
  int cpu_share = 100;  // percent of each core
  std::vector<std::string> gpu_classes;  // pretended
};
// InvalidArgument names the key and what it takes.
Result<NodeWish> parse_node_wish(std::string_view text);

struct AgentCommand {
  std::string program;  // of this binary
  Endpoint cloud;
  std::string join_token_file;
  std::string folder;  // "<data>/nodes/<number>"
  Duration stop_grace = 10s;
  bool log_warnings = true;  // of what the machine lacks, which is the same for all agents here
  NodeWish node;
};
std::vector<std::string> agent_arguments(const AgentCommand& command);

// Runs on: the main loop, whose thread must outlive the children: the kernel ends them with it.
class LocalAgents {
 public:
  explicit LocalAgents(Clock& clock) : clock_(clock) {}
  ~LocalAgents();
  LocalAgents(const LocalAgents&) = delete;
  LocalAgents& operator=(const LocalAgents&) = delete;

  // Also writes <folder>/agent.pid.
  Result<> start(const AgentCommand& command);
  // Logs agents that ended by themselves; until cancelled.
  Task<Result<>> watch();
  // SIGTERM to all; waits until they and what they ran are gone, at most `limit`, then SIGKILL.
  Task<void> stop(Duration limit);

 private:
  struct Child {
    pid_t pid = 0;
    std::string name;
  };
  // Takes those off the list that have ended.
  void reap(bool expected);

  Clock& clock_;
  std::vector<Child> children_;
};

}  // namespace mesclun
