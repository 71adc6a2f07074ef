#include "runtime/run_usage.h"

namespace mesclun::runtime {

RunUsage UsageReader::read(const std::string& instance_id, const CgroupUsage& counted,
                           pid_t ancestor) {
  RunUsage usage{.instance_id = instance_id,
                 .cpu_time = counted.cpu_time,
                 .memory_bytes = counted.memory_bytes};
  if (usage.cpu_time && usage.memory_bytes) return usage;
  if (!processes_) processes_ = all_processes();
  const TreeUsage tree = usage_below(ancestor, *processes_);
  if (!usage.cpu_time) usage.cpu_time = tree.cpu_time;
  if (!usage.memory_bytes) usage.memory_bytes = tree.memory_bytes;
  return usage;
}

}  // namespace mesclun::runtime
