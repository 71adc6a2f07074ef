// Files as we need them: read whole within a bound, replaced whole or not at all, a folder held by
// one process.
//
// Runs on: any thread; every call blocks for as long as the disk takes.
// Errors:  name the path and what the system said. NotFound, no such file; AlreadyExists;
//          PermissionDenied; ResourceExhausted, the disk is full; else Unavailable.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mesclun {

// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return value_; }
  explicit operator bool() const { return value_ >= 0; }
  int release() { return std::exchange(value_, -1); }
  // Keeps errno, so that it can stand between a failed call and its message.
  void reset(int value = -1) {
    if (value_ >= 0) {
      const int kept = errno;
      ::close(value_);
      errno = kept;
    }
    value_ = value;
  }

 private:
  int value_ = -1;
};

// "cannot open /x: No such file or directory", with errno and its code (see above).
Error system_error(std::string_view what);

inline constexpr size_t kFileBytesMax = 4 * 1024 * 1024;

// OutOfRange: larger than `bytes_max`; files of the kernel tell no size, so it is read to know.
Result<std::string> read_file(const std::string& path, size_t bytes_max = kFileBytesMax);
// For tokens and other secrets: the first line, without the blanks around it. InvalidArgument:
// there is nothing in it.
Result<std::string> read_first_line(const std::string& path);
// Names in a folder, sorted; empty if there is no such folder.
std::vector<std::string> list_folder(const std::string& path);

// `path` is for the message.
Result<> write_all(int descriptor, std::string_view text, const std::string& path);
// One write into a file that exists, for the switches of the kernel in /proc and /sys.
Result<> write_into(const std::string& path, std::string_view text);

// What a new text must survive once the call has returned.
enum class Durability {
  ProcessCrash,  // that we are killed
  PowerLoss,     // that the machine is, too; costs two writes to the disk
};

// A file that takes the place of another one in one step: readers see the old text or the new one,
// nothing between, and after a failure the old one. Its own name holds our process number, so
// that two processes that replace one file don't mix their texts.
class FileDraft {
 public:
  static Result<FileDraft> open(std::string path, mode_t mode = 0600);
  FileDraft() = default;
  FileDraft(FileDraft&& other) noexcept = default;
  FileDraft& operator=(FileDraft&& other) noexcept;
  // Gone, unless it was committed.
  ~FileDraft();

  // From the start of the file; what stood behind `text` stays.
  Result<> write(std::string_view text);
  Result<> commit(Durability durability);

 private:
  void discard();

  std::string path_;
  std::string draft_;  // its name until commit()
  Descriptor file_;
};

Result<> replace_file(const std::string& path, std::string_view text, Durability durability,
                      mode_t mode = 0600);
// The drafts in a folder of processes that were killed. For who has the folder to itself.
void remove_drafts(const std::string& folder);

// Whatever this process and its children make from now on is for its owner only, unless its maker
// asks for more. Once, at the start of a process that keeps secrets.
void keep_files_private();
// Mode 0600 from now on; made empty if there is none.
Result<> make_file_private(const std::string& path);

// Keeps other processes from working in a folder, for as long as it lives; it goes with the
// process, however that ends.
class FolderLock {
 public:
  // Makes the folder, for its owner only, if there is none. FailedPrecondition: another process
  // has it (`who` is the word for such a process, "agent"), or others can enter it. That is for its
  // owner to mend: a folder that others share, such as /tmp, must not be closed by mistake.
  static Result<FolderLock> take(const std::string& folder, std::string_view who);

 private:
  explicit FolderLock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;
};

}  // namespace mesclun
