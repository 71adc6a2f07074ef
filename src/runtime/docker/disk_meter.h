// How much of the machine's disk a container takes.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/service.h"
#include "runtime/docker/containers.h"

namespace mesclun::runtime {

// What a container may take that was given no number: twice its image and 5 GB, 10 GB at least.
int64_t default_disk_bytes(int64_t image_bytes);

// Where a container's bytes lie.
struct ContainerDisk {
  std::string container;
  // On this machine: its writable layer and the volumes that its image declares.
  std::vector<std::string> folders;
  bool has_layer = false;  // false: its engine knows the layer's size alone
  pid_t process = 0;       // its first
};

ContainerDisk disk_of(std::string container, const ContainerState& state);

// Runs on:  one loop; looks on a thread of its own, of low priority.
// Lifetime: stop() before the loop waits for a measure() that is under way. The engine outlives it.
class DiskMeter {
 public:
  explicit DiskMeter(Engine& engine);

  // Also files that were deleted and are open. Ends above `enough`, of which it then says at least
  // one byte more.
  Task<Result<int64_t>> measure(ContainerDisk disk, int64_t enough);
  // A measure() that is under way ends soon, with less than there is.
  void stop() { stopping_ = true; }

 private:
  Engine& engine_;
  std::atomic<bool> stopping_ = false;
  LoopThread thread_{"disk meter"};
};

}  // namespace mesclun::runtime
