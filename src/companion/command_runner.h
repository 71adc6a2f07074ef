// Running a helper program and taking its output, such as nvidia-smi.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/task.h"

namespace mesclun::companion {

struct CommandOutput {
  int status = 0;   // exit status; 128 + n when signal n ended it
  std::string out;  // standard output, the first MiB
};

class CommandRunner {
 public:
  virtual ~CommandRunner() = default;
  // Looks `argv[0]` up in $PATH. NotFound: no such program; PermissionDenied: it cannot be run;
  // DeadlineExceeded: it was killed after `limit`. Any exit status is a value.
  virtual Task<Result<CommandOutput>> run(std::vector<std::string> argv, Duration limit) = 0;
};

}  // namespace mesclun::companion
