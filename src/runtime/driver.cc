#include "runtime/driver.h"

#include <fmt/format.h>

#include "runtime/process/run_files.h"

namespace mesclun::runtime {

Result<> check_run(const RunSpec& spec) {
  if (!is_safe_name(spec.instance_id)) return Error::invalid("not a usable instance id");
  TRY_DO(check_limits({.cpu_cores = spec.cpu_cores,
                       .memory_bytes = spec.memory_bytes,
                       .disk_bytes = spec.disk_bytes}));
  for (const auto& [name, value] : spec.environment) {
    if (name.empty() || name.find('=') != std::string::npos ||
        (name + value).find('\0') != std::string::npos) {
      return Error::invalid(fmt::format("'{:.100}' cannot be an environment variable", name));
    }
  }
  return {};
}

Result<> check_limits(const RunLimits& limits) {
  if (limits.cpu_cores > 0 && limits.memory_bytes >= 0 && limits.disk_bytes >= 0) return {};
  return Error::invalid("impossible limits");
}

}  // namespace mesclun::runtime
