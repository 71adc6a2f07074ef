// What live runs use, for all drivers of a real machine.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "runtime/driver.h"
#include "runtime/process/run_files_process.h"
#include "runtime/walls/cgroup_usage.h"

namespace mesclun::runtime {

// For one look at all runs: where control groups do not count, processes are, which are read once.
class UsageReader {
 public:
  // `ancestor`: all that descends from it is the run.
  RunUsage read(const std::string& instance_id, const CgroupUsage& counted, pid_t ancestor);

 private:
  std::optional<std::vector<ProcessStat>> processes_;
};

}  // namespace mesclun::runtime
