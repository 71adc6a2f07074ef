// `mesclun exec`: a command beside an instance.
#pragma once

#include "client/command.h"
#include "client/exec_call.h"
#include "client/terminal.h"

namespace mesclun::client {

struct ExecOptions {
  std::string target;  // an instance's id or its beginning, a machine's, or a group's name
  std::vector<std::string> command;
  bool interactive = false;  // standard input goes to the command
  bool tty = false;
};

// Which instance is meant. NotFound, InvalidArgument with the choices.
struct ExecTarget {
  std::string group;
  std::string instance_id;
};
Result<ExecTarget> choose_exec_target(const std::vector<StatsView>& instances,
                                      const std::string& text);

// What the command line's signals reach while the command runs.
struct ExecControls {
  ExecCall* call = nullptr;
  RawTerminal terminal;
  int interruptions = 0;

  // Whether that was all that is to be done about it; else it ends us.
  bool take_signal(int number, bool tty);
};

// `status` is the command's.
Task<Result<>> exec_beside_instance(Session& session, ExecOptions options, ExecControls& controls,
                                    int& status);

}  // namespace mesclun::client
