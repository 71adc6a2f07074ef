// One line of JSON for every request, on demand.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "base/task.h"

namespace mesclun::gateway {

struct AccessEntry {
  WallTime time;  // when its head was here
  std::string_view id;
  std::string_view client;
  std::string_view host;
  std::string_view method;
  std::string_view target;
  int status = 0;           // 0: the client left
  std::string_view reason;  // X-Gateway-Error, if the answer is the gateway's
  std::string_view instance;
  std::string_view machine;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  size_t tries = 0;  // instances that it met
  // From each point to the next; zero where it did not come that far.
  Duration wait{};        // for a place
  Duration connect{};     // for a stream
  Duration first_byte{};  // for the head of the answer
  Duration total{};
};

std::string to_json_line(const AccessEntry& entry);

// Runs on:  the gateway's loop.
// Writes:   at the latest a second after the request, or when kBufferMax are together. A file that was
//           moved away is made anew. Of a pipe that nobody reads, lines are dropped and counted: the
//           log must not hold up requests.
class AccessLog {
 public:
  static constexpr size_t kBufferMax = 64 * 1024;

  static Result<AccessLog> open(std::string path);
  AccessLog(AccessLog&&) = default;
  AccessLog& operator=(AccessLog&&) = delete;
  ~AccessLog();

  void add(const AccessEntry& entry);
  // At least once a second.
  void flush();
  uint64_t dropped() const { return dropped_; }

 private:
  AccessLog(std::string path, Descriptor file);
  Result<> reopen_if_moved();

  const std::string path_;
  Descriptor file_;
  std::string buffer_;
  uint64_t dropped_ = 0;
};

}  // namespace mesclun::gateway
