#include "runtime/docker/disk_meter.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include <algorithm>

#include "base/file.h"
#include "base/file_tree.h"
#include "runtime/docker/answer.h"
#include "runtime/process/run_files_process.h"

namespace mesclun::runtime {

namespace {

constexpr int64_t kGigabyte = 1'000'000'000;
constexpr int kNice = 10;

// What has no name any more is in no folder, and is there until it is closed.
void add_deleted(pid_t process, TreeMeter& meter) {
  const std::string folder = fmt::format("/proc/{}/fd", process);
  for (const std::string& name : list_folder(folder)) {
    if (meter.is_enough()) return;
    const std::string path = fmt::format("{}/{}", folder, name);
    struct stat status{};
    struct statfs system{};
    if (::stat(path.c_str(), &status) != 0) continue;
    if (!S_ISREG(status.st_mode) || status.st_nlink != 0) continue;
    // Those in memory are counted as memory.
    if (::statfs(path.c_str(), &system) != 0 || system.f_type == TMPFS_MAGIC ||
        system.f_type == HUGETLBFS_MAGIC) {
      continue;
    }
    meter.add(status);
  }
}

struct Counted {
  int64_t bytes = 0;
  bool too_deep = false;
};

Task<Counted> count(ContainerDisk disk, int64_t enough, const std::atomic<bool>& stop) {
  TreeMeter meter(enough, &stop);
  for (const std::string& folder : disk.folders) meter.add(folder);
  if (disk.process > 0) {
    add_deleted(disk.process, meter);
    for (const pid_t process : descendants(disk.process)) add_deleted(process, meter);
  }
  co_return Counted{.bytes = meter.bytes(), .too_deep = meter.too_deep()};
}

}  // namespace

int64_t default_disk_bytes(int64_t image_bytes) {
  return std::max(2 * std::min(image_bytes, 1'000'000 * kGigabyte) + 5 * kGigabyte, 10 * kGigabyte);
}

ContainerDisk disk_of(std::string container, const ContainerState& state) {
  ContainerDisk disk{.container = std::move(container),
                     .folders = state.volumes,
                     .has_layer = !state.layer.empty(),
                     .process = state.process};
  if (disk.has_layer) disk.folders.push_back(state.layer);
  return disk;
}

DiskMeter::DiskMeter(Engine& engine) : engine_(engine) {
  // Of this thread alone, as Linux has it.
  asio::post(thread_.executor(), [] { ::setpriority(PRIO_PROCESS, 0, kNice); });
}

Task<Result<int64_t>> DiskMeter::measure(ContainerDisk disk, int64_t enough) {
  int64_t layer_bytes = 0;
  if (!disk.has_layer) {
    CO_TRY(const json::value told,
           co_await engine_.call(
               {.target = fmt::format("/containers/{}/json?size=1", disk.container)}));
    layer_bytes = std::max<int64_t>(number_of(told, "SizeRw"), 0);
  }
  const Counted counted =
      co_await thread_.run(count(std::move(disk), enough - layer_bytes, stopping_));
  if (co_await cancel_requested()) co_return Error::cancelled();
  // Nobody hides what he writes by folders in folders.
  if (counted.too_deep) co_return std::max(enough + 1, layer_bytes + counted.bytes);
  co_return layer_bytes + counted.bytes;
}

}  // namespace mesclun::runtime
