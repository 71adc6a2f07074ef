#include "agent/usage_meter.h"

#include <algorithm>

namespace mesclun::agent {

std::vector<link::InstanceUsage> usage_between(const std::vector<runtime::RunUsage>& before,
                                               const std::vector<runtime::RunUsage>& after,
                                               Duration elapsed) {
  std::vector<link::InstanceUsage> out;
  for (const runtime::RunUsage& now : after) {
    link::InstanceUsage usage{.instance_id = now.instance_id, .memory_bytes = now.memory_bytes};
    const auto last = std::ranges::find(before, now.instance_id, &runtime::RunUsage::instance_id);
    if (last != before.end() && last->cpu_time && now.cpu_time) {
      // What ended and nobody waited for is not counted any more.
      const Duration used = std::max<Duration>(*now.cpu_time - *last->cpu_time, Duration{});
      usage.cpu_cores = to_seconds(used) / to_seconds(elapsed);
    }
    out.push_back(std::move(usage));
  }
  return out;
}

Task<Result<link::Usage>> UsageMeter::measure() {
  link::Usage usage;
  if (read_machine_) usage.machine = read_machine_();
  Result<std::vector<runtime::RunUsage>> measured = co_await driver_.usage();
  const bool cannot = !measured && measured.code() == ErrorCode::Unimplemented;
  if (cannot && usage.machine) co_return usage;
  CO_TRY(std::vector<runtime::RunUsage> now, std::move(measured));
  const TimePoint time = clock_.now();
  const bool first = measured_ == TimePoint{} || time <= measured_;
  const std::vector<runtime::RunUsage> none;
  usage.instances =
      usage_between(first ? none : last_, now, first ? Duration(1s) : time - measured_);
  last_ = std::move(now);
  measured_ = time;
  co_return usage;
}

}  // namespace mesclun::agent
