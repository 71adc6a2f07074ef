// The terminal of who types: raw for a while, and its size.
#pragma once

#include <termios.h>

#include "api/exec.h"

namespace mesclun::client {

// Keys go through as they are, Ctrl-C too. As it was again with this object, or restore().
class RawTerminal {
 public:
  RawTerminal() = default;
  ~RawTerminal() { restore(); }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  // FailedPrecondition: it is no terminal.
  Result<> take(int descriptor);
  void restore();

 private:
  int descriptor_ = -1;
  termios before_{};
};

// Of the first of standard input, output and error that is a terminal; 24 x 80 if none is.
api::ExecResize terminal_size();

}  // namespace mesclun::client
