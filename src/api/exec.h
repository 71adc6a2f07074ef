// What is said over the WebSocket of a command beside an instance (docs/applications/exec.md): binary
// messages carry its streams, the first byte says which; text messages are one ExecControl each.
#pragma once

#include "base/json.h"

namespace mesclun::api {

inline constexpr char kExecStdin = 0;
inline constexpr char kExecStdout = 1;
inline constexpr char kExecStderr = 2;
// Of one message that is taken.
inline constexpr size_t kExecMessageBytesMax = 256 * 1024;
inline constexpr int32_t kTerminalSideMax = 10'000;  // rows, columns

struct ExecResize {
  int32_t rows = 0;
  int32_t columns = 0;
};
BOOST_DESCRIBE_STRUCT(ExecResize, (), (rows, columns))

struct ExecExit {
  int32_t code = 0;
  std::optional<std::string> detail;
};
BOOST_DESCRIBE_STRUCT(ExecExit, (), (code, detail))

struct ExecError {
  std::string type;
  std::string detail;
};
BOOST_DESCRIBE_STRUCT(ExecError, (), (type, detail))

// One member of it is there.
struct ExecControl {
  // From who looks on.
  std::optional<ExecResize> resize;
  std::optional<std::string> signal;  // "INT"
  std::optional<bool> eof;            // its input has ended
  std::optional<bool> pause;          // true: no output until false
  // From the cloud, the last word.
  std::optional<ExecExit> exit;
  std::optional<ExecError> error;
};
BOOST_DESCRIBE_STRUCT(ExecControl, (), (resize, signal, eof, pause, exit, error))

// InvalidArgument names the member; unknown ones are ignored.
Result<ExecControl> read_exec_control(std::string_view text);
std::string write_exec_control(const ExecControl& control);

// As Linux counts them; nothing for a name that none has. "INT", "SIGINT".
std::optional<int32_t> signal_number(std::string_view name);

}  // namespace mesclun::api
