#include "runtime/docker/disk_watch.h"

#include <algorithm>

namespace mesclun::runtime {

namespace {

constexpr int kRest = 9;  // times as long as looking took

}  // namespace

Task<Result<>> DiskWatch::run() {
  while (true) {
    const TimePoint begun = clock_.now();
    CO_TRY_DO(co_await look());
    const Duration took = clock_.now() - begun;
    CO_TRY_DO(co_await clock_.sleep_for(std::max(period_, kRest * took)));
  }
}

Task<Result<>> DiskWatch::look() {
  std::vector<std::shared_ptr<DockerRun>> live;
  for (const auto& [id, run] : runs_.all()) {
    if (!run->exit && run->process > 0) live.push_back(run);
  }
  for (const auto& run : live) {
    const std::optional<int64_t> most = disk_bytes_max(run->record);
    if (!most || run->exit) continue;
    const Result<int64_t> used = co_await meter_.measure(run->disk, *most);
    if (!used && used.code() == ErrorCode::Cancelled) co_return used.error();
    // An engine that is away will be back.
    if (!used || run->exit) continue;
    run->excess.reset();
    if (*used <= *most) continue;
    run->excess = DiskExcess{.used_bytes = *used, .bytes_max = *most};
    run->changed.notify_all();
  }
  co_return Result<>();
}

}  // namespace mesclun::runtime
