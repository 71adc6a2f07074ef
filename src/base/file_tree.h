// Removing and measuring what others have made, however they made it.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

namespace mesclun {

// Removes a folder and all below it, or a file: also what was made unreadable, and folders nested
// deeper than any path reaches. Follows no link and crosses no mount. Two descriptors and a fixed
// piece of the stack, whatever the depth. True when nothing is left. Gives up once `stop` is set.
//
// Runs on: any thread; blocks for as long as the disk takes. Nobody else works in that folder.
bool remove_tree(const std::string& path, const std::atomic<bool>* stop = nullptr);

// Counts what folders take on the disk: a file with several names once, and what takes no block as
// 1 KiB, for its name and its inode. Follows no link and crosses no mount; others may change the
// folders meanwhile.
//
// Runs on: any thread; blocks for as long as the disk takes, about a second for a million files.
// Bounds:  256 levels of folders, each a descriptor; 500,000 files that have several names, beyond
//          which each name counts.
class TreeMeter {
 public:
  // Ends the count as soon as it is above `enough`, or once `stop` is set.
  explicit TreeMeter(int64_t enough, const std::atomic<bool>* stop = nullptr)
      : enough_(enough), stop_(stop) {}

  // A folder and all below it; nothing if there is none.
  void add(const std::string& path);
  // A file or folder by itself, as stat() tells of it. False: it was counted before.
  bool add(const struct stat& status);

  int64_t bytes() const { return bytes_; }
  bool is_enough() const { return bytes_ > enough_ || (stop_ != nullptr && *stop_); }
  // Below some folder there was more than the levels that are counted.
  bool too_deep() const { return too_deep_; }

 private:
  const int64_t enough_;
  const std::atomic<bool>* stop_;
  int64_t bytes_ = 0;
  bool too_deep_ = false;
  std::set<std::pair<uint64_t, uint64_t>> counted_;  // device and inode of what may come again
};

}  // namespace mesclun
