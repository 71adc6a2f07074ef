// Child processes, and everybody else's: the companion is process 1 of its container, to which
// orphans are given to be buried.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/notify.h"
#include "companion/command_runner.h"

namespace mesclun::companion {

// How a process ended.
struct ProcessEnd {
  int status = 0;  // as waitpid gives it

  // What a shell would report: the exit status, or 128 + n for signal n.
  int exit_code() const;
  // "exited with status 3", "was ended by signal 9 (Killed)".
  std::string describe() const;
};

// Runs on: one loop, one table a process. Reaps every child that ends, known or not.
class ProcessTable {
 public:
  explicit ProcessTable(const asio::any_io_executor& executor);

  struct Start {
    std::vector<std::string> argv;
    bool own_group = true;  // its signals do not reach us, nor ours it
    int stdout_fd = -1;     // -1: ours
    bool quiet = false;     // standard error to nowhere
  };
  // NotFound: no such program; PermissionDenied: it cannot be run; Unavailable: no more processes.
  Result<pid_t> start(const Start& start);
  // Waits for a process of start(). Each once.
  Task<Result<ProcessEnd>> wait(pid_t pid);

 private:
  void listen();
  void reap();

  asio::signal_set ended_signal_;
  std::map<pid_t, std::optional<ProcessEnd>> known_;
  Notify changed_;
};

// nvidia-smi and the like.
class ProcessRunner final : public CommandRunner {
 public:
  ProcessRunner(ProcessTable& table, Clock& clock) : table_(table), clock_(clock) {}
  Task<Result<CommandOutput>> run(std::vector<std::string> argv, Duration limit) override;

 private:
  Task<Result<>> read_and_wait(int descriptor, pid_t pid, CommandOutput& out);

  ProcessTable& table_;
  Clock& clock_;
};

}  // namespace mesclun::companion
