#include "agent/log_segments.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>

#include "base/integer.h"

namespace mesclun::agent {

namespace {

constexpr std::string_view kSuffix = ".log";

}  // namespace

std::vector<int64_t> MemoryLogSegments::list() {
  std::vector<int64_t> out;
  for (const auto& [number, bytes] : segments_) out.push_back(number);
  return out;
}

Result<> MemoryLogSegments::append(int64_t number, std::string_view bytes) {
  segments_[number] += bytes.substr(0, full ? bytes.size() / 2 : bytes.size());
  if (full) return Error{ErrorCode::ResourceExhausted, "the disk is full"};
  return {};
}

Result<std::string> MemoryLogSegments::read(int64_t number, int64_t offset, size_t bytes_max) {
  const auto found = segments_.find(number);
  if (found == segments_.end()) return Error::not_found("no such segment");
  const auto at = std::min(static_cast<size_t>(offset), found->second.size());
  return found->second.substr(at, bytes_max);
}

Result<std::unique_ptr<FileLogSegments>> FileLogSegments::open(std::string folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return Error::unavailable(
        fmt::format("cannot make the folder {}: {}", folder, error.message()));
  }
  return std::unique_ptr<FileLogSegments>(new FileLogSegments(std::move(folder)));
}

std::string FileLogSegments::path(int64_t number) const {
  return fmt::format("{}/{:020}{}", folder_, number, kSuffix);
}

std::vector<int64_t> FileLogSegments::list() {
  std::vector<int64_t> out;
  for (const std::string& name : list_folder(folder_)) {
    std::string_view digits = name;
    if (!digits.ends_with(kSuffix)) continue;
    digits.remove_suffix(kSuffix.size());
    const auto number = parse_integer<int64_t>(digits);
    if (number && *number > 0) out.push_back(*number);
  }
  return out;
}

Result<> FileLogSegments::append(int64_t number, std::string_view bytes) {
  if (!file_ || open_number_ != number) {
    file_.reset(::open(path(number).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    open_number_ = number;
    if (!file_) return system_error("cannot open " + path(number));
  }
  return write_all(file_.get(), bytes, path(number));
}

Result<std::string> FileLogSegments::read(int64_t number, int64_t offset, size_t bytes_max) {
  const Descriptor file(::open(path(number).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error("cannot open " + path(number));
  std::string out(bytes_max, '\0');
  const ssize_t n = ::pread(file.get(), out.data(), out.size(), offset);
  if (n < 0) return system_error("cannot read " + path(number));
  out.resize(static_cast<size_t>(n));
  return out;
}

void FileLogSegments::remove(int64_t number) {
  if (open_number_ == number) file_.reset();
  ::unlink(path(number).c_str());
}

}  // namespace mesclun::agent
