// The agent's end of a command with a guard (exec_guard.h), whatever runtime the guard is in.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/file.h"
#include "runtime/exec_stream.h"

namespace mesclun::runtime {

// One end of a command's three streams.
struct ExecEnds {
  Descriptor in;
  Descriptor out;
  Descriptor err;

  std::vector<int> numbers() const { return {in.get(), out.get(), err.get()}; }
};
struct ExecPipes {
  ExecEnds ours;  // none of them blocks
  ExecEnds theirs;
};
Result<ExecPipes> make_exec_pipes();

// Waits for the guard's first word. `socket` does not block, and is its life line; `ours` are empty
// where it brings a terminal. `program` is for messages. The shim's refusals come as errors. DeadlineExceeded: no word came.
Task<Result<std::unique_ptr<ExecStream>>> attach_exec(Descriptor socket, ExecEnds ours,
                                                      std::string program, Clock& clock,
                                                      Duration limit);

}  // namespace mesclun::runtime
