// Deletes folders of any size without holding up the loop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace mesclun::runtime {

// What move_in() took is gone for everybody at once; its bytes follow, on a thread of its own. What
// a killed process left in the folder is deleted by the next one.
//
// Runs on:  any one thread. The destructor waits for the file that is being deleted, not for all.
class Trash {
 public:
  // `folder` exists, on the same file system as all that moves in.
  explicit Trash(std::string folder);
  ~Trash();
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;

  void move_in(const std::string& path);

 private:
  void work();

  const std::string folder_;
  int64_t number_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool more_ = true;
  std::atomic<bool> stopping_ = false;

  std::thread thread_;
};

}  // namespace mesclun::runtime
