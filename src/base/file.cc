#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/integer.h"
#include "base/text.h"

namespace mesclun {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kDraftSuffix = ".new";
constexpr size_t kFirstLineBytesMax = 64 * 1024;

Result<> flush_folder_of(const std::string& path) {
  std::string folder = fs::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  const Descriptor file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file) return system_error("cannot open " + folder);
  // EINVAL: a file system whose folders need no flush.
  if (::fsync(file.get()) != 0 && errno != EINVAL) return system_error("cannot flush " + folder);
  return {};
}

constexpr mode_t kOthersMask = S_IRWXG | S_IRWXO;

Result<> make_folder(const std::string& folder) {
  std::error_code error;
  if (fs::create_directories(folder, error)) {
    fs::permissions(folder, fs::perms::owner_all, error);
  }
  if (!error) return {};
  return Error::unavailable(
      fmt::format("cannot make the data folder {}: {}; choose another one with --data", folder,
                  error.message()));
}

Result<> check_private(const std::string& folder) {
  struct stat status{};
  if (::stat(folder.c_str(), &status) != 0) return system_error("cannot look at " + folder);
  if (status.st_uid != ::geteuid()) {
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("the data folder {} belongs to another user ({}), who could read its "
                             "secrets; give it to this one (`chown {} {}`), or choose another one "
                             "with --data",
                             folder, status.st_uid, ::geteuid(), folder)};
  }
  if ((status.st_mode & kOthersMask) == 0) return {};
  return Error{ErrorCode::FailedPrecondition,
               fmt::format("other users can enter the data folder {} (its mode is {:o}), which "
                           "holds secrets; close it with `chmod 700 {}`, or choose another one "
                           "with --data",
                           folder, status.st_mode & 07777, folder)};
}

}  // namespace

Error system_error(std::string_view what) {
  const int error = errno;
  ErrorCode code = ErrorCode::Unavailable;
  if (error == ENOENT || error == ENOTDIR || error == ESRCH) code = ErrorCode::NotFound;
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
  return Error{ErrorCode::OutOfRange, fmt::format("{} is larger than {} bytes", path, bytes_max)};
}

Result<std::string> read_first_line(const std::string& path) {
  TRY(const std::string text, read_file(path, kFirstLineBytesMax));
  std::string_view line = std::string_view(text).substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  line = trim_blanks(line);
  if (line.empty()) return Error::invalid(path + " has an empty first line");
  return std::string(line);
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

Result<> write_all(int descriptor, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write " + path);
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<> write_into(const std::string& path, std::string_view text) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return system_error("cannot open " + path);
  if (::write(file.get(), text.data(), text.size()) < 0) {
    return system_error(fmt::format("cannot write '{}' to {}", text, path));
  }
  return {};
}

Result<FileDraft> FileDraft::open(std::string path, mode_t mode) {
  FileDraft made;
  made.draft_ = fmt::format("{}.{}{}", path, ::getpid(), kDraftSuffix);
  made.path_ = std::move(path);
  // One may be left of a process that had this number and was killed. Made anew, because it may
  // have another mode, or be a link.
  ::unlink(made.draft_.c_str());
  made.file_.reset(::open(made.draft_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!made.file_) return system_error("cannot create " + made.draft_);
  return made;
}

FileDraft& FileDraft::operator=(FileDraft&& other) noexcept {
  if (this == &other) return *this;
  discard();
  path_ = std::move(other.path_);
  draft_ = std::move(other.draft_);
  file_ = std::move(other.file_);
  return *this;
}

FileDraft::~FileDraft() {
  discard();
}

void FileDraft::discard() {
  if (file_) ::unlink(draft_.c_str());
  file_.reset();
}

Result<> FileDraft::write(std::string_view text) {
  if (::lseek(file_.get(), 0, SEEK_SET) < 0) return system_error("cannot write " + draft_);
  return write_all(file_.get(), text, draft_);
}

Result<> FileDraft::commit(Durability durability) {
  if (durability == Durability::PowerLoss && ::fsync(file_.get()) != 0) {
    return system_error("cannot flush " + draft_);
  }
  if (::rename(draft_.c_str(), path_.c_str()) != 0) return system_error("cannot replace " + path_);
  file_.reset();
  return durability == Durability::PowerLoss ? flush_folder_of(path_) : Result<>();
}

Result<> replace_file(const std::string& path, std::string_view text, Durability durability,
                      mode_t mode) {
  TRY(FileDraft draft, FileDraft::open(path, mode));
  TRY_DO(draft.write(text));
  return draft.commit(durability);
}

void remove_drafts(const std::string& folder) {
  for (const std::string& name : list_folder(folder)) {
    if (!name.ends_with(kDraftSuffix)) continue;
    const std::string_view stem(name.data(), name.size() - kDraftSuffix.size());
    const size_t dot = stem.rfind('.');
    if (dot == stem.npos || !parse_integer<pid_t>(stem.substr(dot + 1))) continue;
    ::unlink(fmt::format("{}/{}", folder, name).c_str());
  }
}

void keep_files_private() {
  ::umask(kOthersMask);
}

Result<> make_file_private(const std::string& path) {
  const Descriptor file(
      ::open(path.c_str(), O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!file) return system_error("cannot open " + path);
  if (::fchmod(file.get(), 0600) != 0) return system_error("cannot close to others: " + path);
  return {};
}

Result<FolderLock> FolderLock::take(const std::string& folder, std::string_view who) {
  TRY_DO(make_folder(folder));
  TRY_DO(check_private(folder));
  const std::string path = folder + "/lock";
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return system_error("cannot open " + path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return FolderLock(std::move(file));
  if (errno != EWOULDBLOCK) return system_error("cannot lock " + path);
  return Error{
      ErrorCode::FailedPrecondition,
      fmt::format("another {} works in {}; stop it, or give this one its own --data folder", who,
                  folder)};
}

}  // namespace mesclun
