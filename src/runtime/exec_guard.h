// The process between an agent and a command that it runs for somebody: inside the run's walls, child
// of its shim or its container, parent of the command and, as their subreaper, of all that it leaves.
// Only the C library: it is part of the starter too (docker/starter_main.cc).
//
//   agent ◄── one socket ──► guard ──► command, and what that starts
//
// The socket is the guard's life line: at its end, which comes with the agent's however it ends, all
// is killed. On it go words of eight bytes.
#pragma once

#include <stdint.h>

namespace mesclun::runtime {

enum GuardWordKind : int32_t {
  kGuardStarted = 1,  // guard: the command runs; with a terminal's master as a descriptor
  kGuardRefused = 2,  // guard: `value` is the errno why not; nothing follows
  kGuardExited = 3,   // guard: `value` is its status as wait() gives it; nothing follows
  kGuardSignal = 4,   // agent: `value` is the signal
};
struct GuardWord {
  int32_t kind;
  int32_t value;
};

// Of what the guard of a container is told, before so many bytes of texts, each ended by a zero: the
// command. With it come the three ends of pipes for the command, unless it gets a terminal.
struct GuardOrders {
  uint32_t bytes;
  uint32_t arguments;
  uint16_t tty;
  uint16_t rows;
  uint16_t columns;
  uint16_t unused;
};

struct GuardSetup {
  int socket = -1;
  char** arguments = nullptr;
  bool tty = false;
  uint16_t rows = 0;
  uint16_t columns = 0;
};
// For a process with one thread and no children. Without a terminal its descriptors 0, 1 and 2 are
// the command's; its environment is.
[[noreturn]] void run_exec_guard(const GuardSetup& setup);
// Instead of that.
[[noreturn]] void refuse_exec(int socket, int error);

}  // namespace mesclun::runtime
