// Starting the application and the commands beside it. For single-threaded processes only: it
// forks.
#pragma once

#include <span>

#include "runtime/exec_guard.h"
#include "runtime/process/run_files.h"

namespace mesclun::runtime {

struct ChildSpec {
  std::vector<std::string> command;  // without a '/' it is looked up in the PATH of `environment`
  std::map<std::string, std::string> environment;  // all of it
  std::string folder;                              // where it runs
  std::vector<std::string> cgroups;
  int out = -1;  // -1: /dev/null
  int err = -1;
};

// Leads a session and a process group of its own, and dies with the caller. Returns when the
// program runs. NotFound: no such program; PermissionDenied: not executable; other codes as they
// come.
Result<pid_t> spawn_child(const ChildSpec& spec);
// A guard (exec_guard.h) that runs it and answers over `setup.socket`, a copy of which it takes; `ends`
// are the command's three, none with a terminal. Of `spec` its output counts nothing.
Result<pid_t> spawn_guard(const ChildSpec& spec, GuardSetup setup, std::span<const int> ends);

// "killed by signal 11 (Segmentation fault)", or nothing.
RunExit describe_status(int status);

}  // namespace mesclun::runtime
