#include "runtime/driver.h"

#include <fmt/format.h>

#include "runtime/process/run_files.h"

namespace mesclun::runtime {

namespace {

Result<> check_environment(const std::map<std::string, std::string>& environment) {
  for (const auto& [name, value] : environment) {
    if (name.empty() || name.find('=') != std::string::npos ||
        (name + value).find('\0') != std::string::npos) {
      return Error::invalid(fmt::format("'{:.100}' cannot be an environment variable", name));
    }
  }
  return {};
}

}  // namespace

Result<> check_run(const RunSpec& spec) {
  if (!is_safe_name(spec.instance_id)) return Error::invalid("not a usable instance id");
  TRY_DO(check_limits({.cpu_cores = spec.cpu_cores,
                       .memory_bytes = spec.memory_bytes,
                       .disk_bytes = spec.disk_bytes}));
  return check_environment(spec.environment);
}

Result<> check_exec(const ExecSpec& spec) {
  if (spec.command.empty() || spec.command[0].empty()) return Error::invalid("no command");
  for (const std::string& word : spec.command) {
    if (word.find('\0') != std::string::npos) {
      return Error::invalid("an argument with a zero byte in it");
    }
  }
  return check_environment(spec.environment);
}

Result<> check_limits(const RunLimits& limits) {
  if (limits.cpu_cores > 0 && limits.memory_bytes >= 0 && limits.disk_bytes >= 0) return {};
  return Error::invalid("impossible limits");
}

}  // namespace mesclun::runtime
