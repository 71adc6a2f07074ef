#include "runtime/process/run_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

namespace mesclun::runtime {

namespace fs = std::filesystem;

bool is_safe_name(std::string_view name) {
  if (name.empty() || name.size() > 100 || name[0] == '.') return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

Error system_error(std::string_view what) {
  const int error = errno;
  ErrorCode code = ErrorCode::Unavailable;
  if (error == ENOENT || error == ESRCH) code = ErrorCode::NotFound;
  if (error == ENOSPC || error == EDQUOT) code = ErrorCode::ResourceExhausted;
  if (error == EEXIST) code = ErrorCode::AlreadyExists;
  if (error == EACCES || error == EPERM) code = ErrorCode::PermissionDenied;
  return Error{code, fmt::format("{}: {}", what, std::strerror(error))};
}

Result<std::string> read_file(const std::string& path, size_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error("cannot open " + path);
  std::string text;
  char buffer[16 * 1024];
  while (text.size() <= bytes_max) {
    const ssize_t n = ::read(file.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read " + path);
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
  return Error{ErrorCode::OutOfRange, path + " is too large"};
}

Result<> write_file(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return system_error("cannot create " + temporary);
  while (!text.empty()) {
    const ssize_t n = ::write(file.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const Error error = system_error("cannot write " + temporary);
      ::unlink(temporary.c_str());
      return error;
    }
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return system_error("cannot write " + path);
  return {};
}

std::vector<std::string> list_folder(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

bool remove_tree(const std::string& path, const std::atomic<bool>* stop) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return errno == ENOENT;
  if (!S_ISDIR(status.st_mode)) return ::unlink(path.c_str()) == 0;
  // A folder without write or search permission: make it ours again.
  if ((status.st_mode & S_IRWXU) != S_IRWXU) ::chmod(path.c_str(), 0700);
  for (const std::string& name : list_folder(path)) {
    if (stop != nullptr && *stop) return false;
    remove_tree(fmt::format("{}/{}", path, name), stop);
  }
  return ::rmdir(path.c_str()) == 0;
}

}  // namespace mesclun::runtime
