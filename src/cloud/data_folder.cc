#include "cloud/data_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/crypto.h"

namespace mesclun::cloud {

namespace {

Error system_error(std::string_view doing, const std::string& path) {
  return Error::unavailable(fmt::format("cannot {} {}: {}", doing, path, std::strerror(errno)));
}

Result<std::string> load_or_make(const std::string& path, std::string_view prefix, Random& random) {
  if (std::filesystem::exists(path)) {
    TRY(const std::string text, read_small_file(path));
    if (text.size() >= 16) return text;
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("{} is damaged; remove it to have a new one made", path)};
  }
  const std::string made = std::string(prefix) + new_secret(random);
  TRY_DO(write_private_file(path, made + "\n"));
  return made;
}

}  // namespace

Result<FolderLock> FolderLock::take(const std::string& folder) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) {
    return Error::unavailable(
        fmt::format("cannot make the data folder {}: {}; choose another one "
                    "with --data",
                    folder, failure.message()));
  }
  const std::string path = folder + "/lock";
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return system_error("write in the data folder:", path);
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    close(descriptor);
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("another mesclun runs over the data folder {}; stop it, or choose "
                             "another folder with --data",
                             folder)};
  }
  return FolderLock(descriptor);
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<Secrets> load_or_make_secrets(const std::string& folder, Random& random) {
  Secrets out;
  TRY(out.join_token, load_or_make(folder + "/join.token", "", random));
  TRY(out.gateway_token, load_or_make(folder + "/gateway.token", "", random));
  TRY(out.tunnel_secret, load_or_make(folder + "/tunnel.secret", "", random));
  TRY(out.operator_key, load_or_make(folder + "/operator.key", "mesclun_operator_", random));
  return out;
}

Result<> write_private_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return system_error("write", temporary);
  const bool written =
      write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      fsync(descriptor) == 0;
  const Error failed = written ? Error{} : system_error("write", temporary);
  close(descriptor);
  if (!written) return failed;
  if (rename(temporary.c_str(), path.c_str()) != 0) return system_error("write", path);
  return {};
}

Result<std::string> read_small_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return system_error("read", path);
  std::string out = text.str();
  while (!out.empty() && std::isspace(static_cast<unsigned char>(out.back())) != 0) out.pop_back();
  return out;
}

}  // namespace mesclun::cloud
