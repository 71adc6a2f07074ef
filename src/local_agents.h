// The agents that `mesclun up` runs on this machine, each a process of its own, so that one can be
// killed like a machine that vanishes.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
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
  Duration usage_period = 1s;
  bool log_warnings = true;  // of what the machine lacks, which is the same for all agents here
  LogSettings log;
  bool egress = true;
  std::vector<std::string> services;  // as --service of `mesclun agent`
  std::string runtime;                // as --runtime; empty: its default
  std::string engine;                 // as --engine, likewise
  NodeWish node;
};
std::vector<std::string> agent_arguments(const AgentCommand& command);

// One that dies is started again, and finds what its instances became; one that refuses its command
// line is not. When this process is killed the kernel kills the agents too, whose instances go on
// until the next `mesclun up` over the same folder.
//
// Runs on: the main loop, whose thread must outlive the children: the kernel ends them with it.
class LocalAgents {
 public:
  LocalAgents(Clock& clock, bool restarts) : clock_(clock), restarts_(restarts) {}
  ~LocalAgents();
  LocalAgents(const LocalAgents&) = delete;
  LocalAgents& operator=(const LocalAgents&) = delete;

  // Also writes <folder>/agent.pid, at every start.
  Result<> start(AgentCommand command);
  // Starts agents again that ended by themselves; until cancelled.
  Task<Result<>> watch();
  // SIGTERM to all; waits until they and what they ran are gone, at most `limit`, then SIGKILL.
  Task<void> stop(Duration limit);

 private:
  struct Child {
    AgentCommand command;
    pid_t pid = 0;  // 0: ended
    TimePoint start{};
    int failures = 0;              // short lives in a row
    std::optional<TimePoint> due;  // when it is started again
  };
  Result<> launch(Child& child);
  // Notes which have ended.
  void reap(bool expected);
  void note_end(Child& child, int status);
  bool any_alive() const;

  Clock& clock_;
  const bool restarts_;
  std::vector<Child> children_;
};

}  // namespace mesclun
