#include "base/standard_output.h"

#include <poll.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace mesclun {

std::optional<std::string> unwritten(std::FILE* file) {
  // An earlier failure is remembered by `file` only as such.
  const bool failed_before = std::ferror(file) != 0;
  errno = 0;
  const bool failed = std::fflush(file) != 0;
  const int error = errno;
  if (!failed && !failed_before) return std::nullopt;
  pollfd reader{.fd = ::fileno(file), .events = POLLOUT, .revents = 0};
  const bool closed = ::poll(&reader, 1, 0) == 1 && (reader.revents & (POLLERR | POLLHUP)) != 0;
  if (closed || error == EPIPE) return std::nullopt;
  return failed && error != 0 ? std::strerror(error) : "not all could be written";
}

int with_output_written(const char* program, const std::function<int()>& run) {
  int status = 1;
  try {
    status = run();
  } catch (const std::system_error&) {
    // fmt throws where a print fails, which is what follows.
    if (std::ferror(stdout) == 0) throw;
    status = 0;
  }
  const std::optional<std::string> why = unwritten(stdout);
  if (!why) return status;
  std::fprintf(stderr, "%s: cannot write standard output: %s\n", program, why->c_str());
  return status == 0 ? 1 : status;
}

}  // namespace mesclun
