// The program after --: started once, told to stop in order, buried with all that it started.
#pragma once

#include "companion/process_table.h"

namespace mesclun::companion {

class ApplicationProcess {
 public:
  ApplicationProcess(ProcessTable& table, Clock& clock) : table_(table), clock_(clock) {}

  // Errors as ProcessTable::start.
  Result<> start(const std::vector<std::string>& command);
  // Until it ends by itself. To be called once, and awaited to its end.
  Task<Result<ProcessEnd>> wait();
  bool running() const { return pid_ > 0; }
  // To the application alone, as a process 1 does.
  void signal(int number);
  // The terminal sent this one to us and to whoever shares our group: if the application does, it is
  // not sent again.
  void heard_from_terminal(int number);
  // `number` (SIGTERM), and SIGKILL for the whole group after `grace`. Returns once it is gone;
  // wait() has told how.
  Task<void> stop(int number, Duration grace);

 private:
  void kill_group();

  ProcessTable& table_;
  Clock& clock_;
  pid_t pid_ = 0;    // 0: not running
  pid_t group_ = 0;  // 0: it shares ours, on a terminal
  int heard_ = 0;    // a signal that it has got already; 0: none
};

}  // namespace mesclun::companion
