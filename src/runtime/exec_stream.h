// A command beside an application, inside the same walls, with somebody at its streams.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/task.h"

namespace mesclun::runtime {

struct TerminalSize {
  uint16_t rows = 24;
  uint16_t columns = 80;
};

struct ExecSpec {
  std::vector<std::string> command;  // program and arguments, no shell
  bool tty = false;                  // a terminal of its own; then all output is one stream
  TerminalSize size;                 // of that
  std::map<std::string, std::string> environment;  // over that of the run
};
// InvalidArgument: no command, or a variable without a possible name or value.
Result<> check_exec(const ExecSpec& spec);

struct ExecOutput {
  enum class Stream { End, Out, Err };
  Stream stream = Stream::End;  // End: all was read
  std::string bytes;
};

struct ExecExit {
  int32_t code = 0;    // 128 + signal when killed; 127: no such program, 126: it cannot be executed
  std::string detail;  // for people
};

// Runs on:  one loop; of each call one at a time, which may overlap the others.
// Promise:  the command and all that it started end with it, and with this object, and with this
//           process, however that ends. What waits meanwhile is only what the kernel's pipes hold.
// Errors:   Cancelled; Unavailable, the command does not read (any more).
class ExecStream {
 public:
  virtual ~ExecStream() = default;

  // What it has written, at most `bytes_max`; waits for something. After the end: the end again.
  virtual Task<Result<ExecOutput>> read(size_t bytes_max) = 0;
  // All of it; waits while the command does not read.
  virtual Task<Result<>> write(std::string bytes) = 0;
  // Nothing more will be written; a terminal is told so by Ctrl-D.
  virtual Task<Result<>> end_input() = 0;
  // Of a terminal; else nothing happens.
  virtual Result<> resize(TerminalSize size) = 0;
  // To what runs in the terminal's foreground; without a terminal to the command's process group.
  virtual Result<> signal(int number) = 0;
  // Until the command has ended.
  virtual Task<Result<ExecExit>> wait() = 0;
};

}  // namespace mesclun::runtime
