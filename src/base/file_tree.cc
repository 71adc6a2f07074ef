#include "base/file_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace mesclun {

namespace {

Descriptor open_on_same_device(int parent, const char* name) {
  Descriptor found(::openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat above{};
  struct stat below{};
  const bool same = found && ::fstat(parent, &above) == 0 && ::fstat(found.get(), &below) == 0 &&
                    above.st_dev == below.st_dev;
  return same ? std::move(found) : Descriptor();
}

// A folder in this one, for reading, and ours to change. Nothing for what is no folder of the same
// mount.
Descriptor open_folder(int parent, const char* name) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  Descriptor found(static_cast<int>(::syscall(SYS_openat2, parent, name, &how, sizeof how)));
  // Older container engines refuse calls that they do not know.
  if (!found && (errno == ENOSYS || errno == EPERM)) found = open_on_same_device(parent, name);
  if (!found) return {};
  // Without a way by its name, which could lead elsewhere.
  ::chmod(fmt::format("/proc/self/fd/{}", found.get()).c_str(), 0700);
  return Descriptor(::openat(found.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

class FolderReader {
 public:
  explicit FolderReader(Descriptor folder) : stream_(::fdopendir(folder.get())) {
    if (stream_ != nullptr) folder.release();
  }
  FolderReader(const FolderReader&) = delete;
  FolderReader& operator=(const FolderReader&) = delete;
  ~FolderReader() {
    if (stream_ != nullptr) ::closedir(stream_);
  }

  int descriptor() const { return stream_ == nullptr ? -1 : ::dirfd(stream_); }
  // Null at the end.
  const char* next() {
    while (const dirent* entry = stream_ == nullptr ? nullptr : ::readdir(stream_)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") return entry->d_name;
    }
    return nullptr;
  }
  void rewind() {
    if (stream_ != nullptr) ::rewinddir(stream_);
  }

 private:
  DIR* stream_;
};

// Empties one folder after the other into the uppermost, so that none is ever deep.
class TreeRemover {
 public:
  TreeRemover(Descriptor top, const std::atomic<bool>* stop) : top_(std::move(top)), stop_(stop) {}

  void run() {
    // What a pass moves up the next one may not see; each removes something, or is the last.
    bool removed = true;
    while (removed && !stopped()) {
      removed = false;
      top_.rewind();
      while (const char* name = top_.next()) {
        if (stopped()) return;
        removed |= remove_entry(name);
      }
    }
  }

 private:
  bool stopped() const { return stop_ != nullptr && *stop_; }

  bool remove_entry(const char* name) {
    if (::unlinkat(top_.descriptor(), name, 0) == 0) return true;
    Descriptor folder = open_folder(top_.descriptor(), name);
    if (!folder) return false;
    empty(std::move(folder));
    return ::unlinkat(top_.descriptor(), name, AT_REMOVEDIR) == 0;
  }

  void empty(Descriptor folder) {
    FolderReader reader(std::move(folder));
    bool moved = true;
    while (moved) {
      moved = false;
      reader.rewind();
      while (const char* name = reader.next()) {
        if (stopped()) return;
        moved |=
            ::unlinkat(reader.descriptor(), name, 0) == 0 || move_up(reader.descriptor(), name);
      }
    }
  }

  // Refused for a mount point, which stays.
  bool move_up(int folder, const char* name) {
    // A folder that its owner may not write cannot be moved.
    if (!open_folder(folder, name)) return false;
    while (true) {
      const std::string target = fmt::format("{}.moved", ++moved_);
      if (::renameat2(folder, name, top_.descriptor(), target.c_str(), RENAME_NOREPLACE) == 0) {
        return true;
      }
      if (errno != EEXIST) return false;
    }
  }

  FolderReader top_;
  const std::atomic<bool>* stop_;
  uint64_t moved_ = 0;
};

constexpr size_t kLevelsMax = 256;
constexpr size_t kNamedOftenMax = 500'000;
constexpr int64_t kBytesMin = 1024;
constexpr int64_t kBlockBytes = 512;  // of st_blocks, whatever the file system

}  // namespace

bool TreeMeter::add(const struct stat& status) {
  // A folder has one name, whatever its number of links.
  if (!S_ISDIR(status.st_mode) && status.st_nlink != 1 && counted_.size() < kNamedOftenMax &&
      !counted_.emplace(status.st_dev, status.st_ino).second) {
    return false;
  }
  bytes_ += std::max<int64_t>(status.st_blocks * kBlockBytes, kBytesMin);
  return true;
}

void TreeMeter::add(const std::string& path) {
  constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  Descriptor top(::open(path.c_str(), kFolder));
  struct stat status{};
  if (!top || ::fstat(top.get(), &status) != 0) return;
  const dev_t device = status.st_dev;
  add(status);
  // Never upwards by "..": a folder that is moved meanwhile would lead out of the tree.
  std::vector<std::unique_ptr<FolderReader>> levels;
  levels.push_back(std::make_unique<FolderReader>(std::move(top)));
  while (!levels.empty() && !is_enough()) {
    const int folder = levels.back()->descriptor();
    const char* name = levels.back()->next();
    if (name == nullptr) {
      levels.pop_back();
      continue;
    }
    if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (status.st_dev != device) continue;
    add(status);
    if (!S_ISDIR(status.st_mode)) continue;
    if (levels.size() == kLevelsMax) {
      too_deep_ = true;
      continue;
    }
    Descriptor below(::openat(folder, name, kFolder));
    if (below) levels.push_back(std::make_unique<FolderReader>(std::move(below)));
  }
}

bool remove_tree(const std::string& path, const std::atomic<bool>* stop) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return errno == ENOENT;
  if (!S_ISDIR(status.st_mode)) return ::unlink(path.c_str()) == 0;
  if ((status.st_mode & S_IRWXU) != S_IRWXU) ::chmod(path.c_str(), 0700);
  Descriptor top(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top) return false;
  TreeRemover(std::move(top), stop).run();
  return ::rmdir(path.c_str()) == 0;
}

}  // namespace mesclun
