#include "gateway/access_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/json.h"
#include "base/log.h"

namespace mesclun::gateway {

namespace {

// A pipe's reader that is slow gets so much later.
constexpr size_t kHeldMax = 1024 * 1024;

// O_NONBLOCK: of a pipe, and of a terminal that is held.
int open_file(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
}

double milliseconds(Duration duration) {
  return std::round(to_seconds(duration) * 1e6) / 1e3;
}

}  // namespace

std::string to_json_line(const AccessEntry& entry) {
  json::object line{{"time", format_rfc3339(entry.time)},
                    {"id", entry.id},
                    {"client", entry.client},
                    {"host", entry.host},
                    {"method", entry.method},
                    {"target", entry.target},
                    {"status", entry.status},
                    {"bytes_in", entry.bytes_in},
                    {"bytes_out", entry.bytes_out},
                    {"tries", entry.tries},
                    {"wait_ms", milliseconds(entry.wait)},
                    {"connect_ms", milliseconds(entry.connect)},
                    {"first_byte_ms", milliseconds(entry.first_byte)},
                    {"total_ms", milliseconds(entry.total)}};
  if (!entry.reason.empty()) line["gateway_error"] = entry.reason;
  if (!entry.instance.empty()) line["instance"] = entry.instance;
  if (!entry.machine.empty()) line["machine"] = entry.machine;
  return json::serialize(line) + "\n";
}

Result<AccessLog> AccessLog::open(std::string path) {
  const int descriptor = open_file(path);
  if (descriptor < 0) {
    return Error::invalid("--access-log: cannot open " + path + ": " + std::strerror(errno));
  }
  return AccessLog(std::move(path), descriptor);
}

AccessLog::AccessLog(std::string path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {}

AccessLog::AccessLog(AccessLog&& other) noexcept
    : path_(other.path_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      buffer_(std::move(other.buffer_)) {}

AccessLog::~AccessLog() {
  if (descriptor_ < 0) return;
  flush();
  ::close(descriptor_);
}

void AccessLog::add(const AccessEntry& entry) {
  if (buffer_.size() >= kHeldMax) {
    ++dropped_;
    return;
  }
  buffer_ += to_json_line(entry);
  if (buffer_.size() >= kBufferMax) flush();
}

void AccessLog::flush() {
  if (const Result<> opened = reopen_if_moved(); !opened) {
    log_warning("gateway", "the access log is not written", {{"error", opened.error().message}});
    return;
  }
  while (!buffer_.empty()) {
    const ssize_t written = ::write(descriptor_, buffer_.data(), buffer_.size());
    if (written < 0 && errno == EINTR) continue;
    // Full: later. What else is wrong is as likely to pass as not, and the bound holds.
    if (written <= 0) return;
    buffer_.erase(0, static_cast<size_t>(written));
  }
}

// As logrotate leaves it.
Result<> AccessLog::reopen_if_moved() {
  struct stat ours{};
  struct stat there{};
  if (::fstat(descriptor_, &ours) != 0 || !S_ISREG(ours.st_mode)) return {};
  const bool same = ::stat(path_.c_str(), &there) == 0 && there.st_ino == ours.st_ino &&
                    there.st_dev == ours.st_dev;
  if (same) return {};
  const int fresh = open_file(path_);
  if (fresh < 0) return Error::unavailable(path_ + ": " + std::strerror(errno));
  ::close(std::exchange(descriptor_, fresh));
  return {};
}

}  // namespace mesclun::gateway
