#include "gateway/access_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>

#include "base/json.h"
#include "base/log.h"

namespace mesclun::gateway {

namespace {

// A pipe's reader that is slow gets so much later.
constexpr size_t kHeldMax = 1024 * 1024;

// O_NONBLOCK: of a pipe, and of a terminal that is held.
Result<Descriptor> open_file(const std::string& path) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
  Descriptor file(::open(path.c_str(), kFlags, 0640));
  if (!file) return Error::invalid("--access-log: " + system_error("cannot open " + path).message);
  return file;
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
  TRY(Descriptor file, open_file(path));
  return AccessLog(std::move(path), std::move(file));
}

AccessLog::AccessLog(std::string path, Descriptor file)
    : path_(std::move(path)), file_(std::move(file)) {}

AccessLog::~AccessLog() {
  if (file_) flush();
}

void AccessLog::add(const AccessEntry& entry) {
  if (buffer_.size() >= kHeldMax) {
    ++dropped_;
    return;
  }
  const size_t before = buffer_.size();
  buffer_ += to_json_line(entry);
  // Once: of who takes nothing then, the next flush() asks again.
  if (before < kBufferMax && buffer_.size() >= kBufferMax) flush();
}

void AccessLog::flush() {
  if (const Result<> opened = reopen_if_moved(); !opened) {
    log_warning("gateway", "the access log is not written", {{"error", opened.error().message}});
    return;
  }
  while (!buffer_.empty()) {
    const ssize_t written = ::write(file_.get(), buffer_.data(), buffer_.size());
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
  if (::fstat(file_.get(), &ours) != 0 || !S_ISREG(ours.st_mode)) return {};
  const bool same = ::stat(path_.c_str(), &there) == 0 && there.st_ino == ours.st_ino &&
                    there.st_dev == ours.st_dev;
  if (same) return {};
  TRY(file_, open_file(path_));
  return {};
}

}  // namespace mesclun::gateway
