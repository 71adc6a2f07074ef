#include "client/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace mesclun::client {

Result<> RawTerminal::take(int descriptor) {
  if (::tcgetattr(descriptor, &before_) != 0) {
    return Error{ErrorCode::FailedPrecondition, "standard input is no terminal"};
  }
  termios raw = before_;
  ::cfmakeraw(&raw);
  if (::tcsetattr(descriptor, TCSADRAIN, &raw) != 0) {
    return Error{ErrorCode::FailedPrecondition, "the terminal cannot be made raw"};
  }
  descriptor_ = descriptor;
  return {};
}

void RawTerminal::restore() {
  if (descriptor_ >= 0) ::tcsetattr(descriptor_, TCSADRAIN, &before_);
  descriptor_ = -1;
}

api::ExecResize terminal_size() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    winsize size{};
    if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
      return {.rows = size.ws_row, .columns = size.ws_col};
    }
  }
  return {.rows = 24, .columns = 80};
}

}  // namespace mesclun::client
