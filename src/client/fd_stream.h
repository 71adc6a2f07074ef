// The standard streams of a command, for a loop that must not wait in the kernel for them, and without
// a trace on them: others share them, and would find them non-blocking.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <optional>
#include <string>

#include "base/task.h"

namespace mesclun::client {

// Runs on: one loop; one call at a time.
class FdStream {
 public:
  enum class Use { Read, Write };
  // Anything that can be read or written: a terminal, a pipe, a file, nothing. It stays the caller's.
  FdStream(const asio::any_io_executor& executor, int descriptor, Use use);

  // Some bytes; empty at the end. Unavailable: it cannot be read.
  Task<Result<std::string>> read(size_t bytes_max);
  // All of it. Unavailable: nobody takes it.
  Task<Result<>> write(std::string bytes);

 private:
  Task<Result<>> wait();

  const int descriptor_;
  // Of an epoll of its own, which is readable when the descriptor is ready; none for a file, which
  // always is.
  std::optional<asio::posix::stream_descriptor> ready_;
};

}  // namespace mesclun::client
