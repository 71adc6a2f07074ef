#include "runtime/walls/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/integer.h"
#include "base/text.h"
#include "runtime/walls/mountinfo.h"

namespace mesclun::runtime {

namespace {

constexpr int64_t kPeriodMicroseconds = 100'000;
// The kernel refuses less.
constexpr int64_t kQuotaMicrosecondsMin = 1'000;

bool has_word(std::string_view text, std::string_view word) {
  const std::vector<std::string_view> words = split(text, ' ');
  return std::ranges::find(words, word) != words.end();
}

Result<> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return system_error("cannot create " + path);
  }
  return {};
}

// The folder mount/mesclun. Version 2 wants the controller switched on for the children of every
// folder on the way.
Result<std::string> make_parent(const std::string& mount, bool v2, std::string_view controller) {
  const std::string parent = fmt::format("{}/{}", mount, kCgroupParent);
  TRY_DO(make_folder(parent));
  if (v2) {
    TRY_DO(write_into(mount + "/cgroup.subtree_control", fmt::format("+{}", controller)));
    TRY_DO(write_into(parent + "/cgroup.subtree_control", fmt::format("+{}", controller)));
  }
  return parent;
}

std::string path_of(const std::string& mount, const std::string& name) {
  return fmt::format("{}/{}/{}", mount, kCgroupParent, name);
}

Result<std::string> make_group(const std::string& mount, bool v2, std::string_view controller,
                               const std::string& name) {
  TRY_DO(make_parent(mount, v2, controller));
  const std::string path = path_of(mount, name);
  TRY_DO(make_folder(path));
  return path;
}

int64_t share_of(double cores, double one, double min, double max) {
  return std::lround(std::clamp(cores * one, min, max));
}

std::vector<pid_t> processes_of(const std::string& cgroup) {
  std::vector<pid_t> pids;
  const Result<std::string> text = read_file(cgroup + "/cgroup.procs");
  for (const std::string_view line : split(text ? *text : std::string(), '\n')) {
    const auto pid = parse_integer<pid_t>(line);
    if (pid && *pid > 0) pids.push_back(*pid);
  }
  return pids;
}

}  // namespace

CgroupMounts find_cgroup_mounts(
    std::string_view mountinfo,
    const std::function<std::string(const std::string&)>& controllers_of) {
  CgroupMounts found;
  std::string unified;
  for (const CgroupMount& mount : list_cgroup_mounts(mountinfo)) {
    if (mount.v2) {
      if (unified.empty()) unified = mount.point;
      continue;
    }
    if (found.cpu.empty() && mount.has("cpu")) found.cpu = mount.point;
    if (found.memory.empty() && mount.has("memory")) found.memory = mount.point;
  }
  if (unified.empty() || (!found.cpu.empty() && !found.memory.empty())) return found;
  std::string controllers = controllers_of(unified);
  std::ranges::replace(controllers, '\n', ' ');
  if (found.cpu.empty() && has_word(controllers, "cpu")) {
    found.cpu = unified;
    found.cpu_v2 = true;
  }
  if (found.memory.empty() && has_word(controllers, "memory")) {
    found.memory = unified;
    found.memory_v2 = true;
  }
  return found;
}

int64_t cpu_shares(double cores) {
  return share_of(cores, 1024, 2, 262'144);
}

Cgroups Cgroups::of_this_machine() {
  const auto controllers_of = [](const std::string& mount) {
    return read_file(mount + "/cgroup.controllers").value_or("");
  };
  const Result<std::string> mountinfo = read_file("/proc/self/mountinfo");
  return Cgroups(find_cgroup_mounts(mountinfo ? *mountinfo : std::string(), controllers_of));
}

Result<> Cgroups::set_cpu(const std::string& path, double cores) const {
  const auto wanted = static_cast<int64_t>(std::lround(cores * kPeriodMicroseconds));
  const int64_t quota = std::max(wanted, kQuotaMicrosecondsMin);
  set_weight(path, cores);
  if (mounts_.cpu_v2) {
    return write_into(path + "/cpu.max", fmt::format("{} {}", quota, kPeriodMicroseconds));
  }
  TRY_DO(write_into(path + "/cpu.cfs_period_us", fmt::format("{}", kPeriodMicroseconds)));
  return write_into(path + "/cpu.cfs_quota_us", fmt::format("{}", quota));
}

// Not a limit: where it cannot be had, nobody gets more than it may.
void Cgroups::set_weight(const std::string& path, double cores) const {
  std::ignore =
      mounts_.cpu_v2
          ? write_into(path + "/cpu.weight", fmt::format("{}", share_of(cores, 100, 1, 10'000)))
          : write_into(path + "/cpu.shares", fmt::format("{}", cpu_shares(cores)));
}

Result<> Cgroups::create_parent() const {
  if (!limits_cpu()) return Error::unavailable("no control groups for the CPU");
  TRY(const std::string parent, make_parent(mounts_.cpu, mounts_.cpu_v2, "cpu"));
  set_weight(parent, 1);
  return {};
}

Result<> Cgroups::set_memory(const std::string& path, int64_t bytes) const {
  if (bytes <= 0) return {};
  const std::string text = fmt::format("{}", bytes);
  // Swap would only put off the end; kernels without swap accounting lack the file.
  if (mounts_.memory_v2) {
    TRY_DO(write_into(path + "/memory.max", text));
    std::ignore = write_into(path + "/memory.swap.max", "0");
    return {};
  }
  // Version 1 wants memory to be at most memory with swap: the one that grows goes first.
  const std::string swap = path + "/memory.memsw.limit_in_bytes";
  std::ignore = write_into(swap, text);
  TRY_DO(write_into(path + "/memory.limit_in_bytes", text));
  std::ignore = write_into(swap, text);
  return {};
}

Result<std::string> Cgroups::create_cpu(const std::string& name, double cores) const {
  TRY_DO(create_parent());
  TRY(const std::string path, make_group(mounts_.cpu, mounts_.cpu_v2, "cpu", name));
  const Result<> done = set_cpu(path, cores);
  if (done) return path;
  remove_cgroups({path});
  return done.error();
}

Result<std::string> Cgroups::create_memory(const std::string& name, int64_t bytes) const {
  TRY(const std::string path, make_group(mounts_.memory, mounts_.memory_v2, "memory", name));
  const Result<> done = set_memory(path, bytes);
  if (done) return path;
  remove_cgroups({path});
  return done.error();
}

Result<> Cgroups::change(const std::string& name, CgroupLimits limits) const {
  if (limits_cpu()) {
    TRY_DO(set_cpu(path_of(mounts_.cpu, name), limits.cpu_cores));
  }
  if (limits_memory()) {
    TRY_DO(set_memory(path_of(mounts_.memory, name), limits.memory_bytes));
  }
  return {};
}

CgroupUsage Cgroups::usage(const std::string& name) const {
  CgroupCounters counters{.cpu_v2 = mounts_.cpu_v2, .memory_v2 = mounts_.memory_v2};
  if (limits_cpu()) counters.cpu = path_of(mounts_.cpu, name);
  if (limits_memory()) counters.memory = path_of(mounts_.memory, name);
  return read_usage(counters);
}

std::vector<std::string> Cgroups::paths_of(const std::string& name) const {
  std::vector<std::string> paths;
  if (limits_cpu()) paths.push_back(path_of(mounts_.cpu, name));
  if (limits_memory() && mounts_.memory != mounts_.cpu) {
    paths.push_back(path_of(mounts_.memory, name));
  }
  return paths;
}

Result<std::vector<std::string>> Cgroups::create(const std::string& name,
                                                 CgroupLimits limits) const {
  std::vector<std::string> paths;
  if (limits_cpu()) {
    TRY(std::string path, create_cpu(name, limits.cpu_cores));
    paths.push_back(std::move(path));
  }
  if (limits_memory()) {
    const Result<std::string> path = create_memory(name, limits.memory_bytes);
    if (!path) {
      remove_cgroups(paths);
      return path.error();
    }
    if (paths.empty() || paths[0] != *path) paths.push_back(*path);
  }
  return paths;
}

Result<> join_cgroups(const std::vector<std::string>& cgroups) {
  for (const std::string& cgroup : cgroups) TRY_DO(write_into(cgroup + "/cgroup.procs", "0"));
  return {};
}

int64_t out_of_memory_kills(const std::vector<std::string>& cgroups) {
  for (const std::string& cgroup : cgroups) {
    for (const char* file : {"/memory.events", "/memory.oom_control"}) {
      const Result<std::string> text = read_file(cgroup + file);
      for (const std::string_view line : split(text ? *text : std::string(), '\n')) {
        constexpr std::string_view kName = "oom_kill ";
        if (!line.starts_with(kName)) continue;
        return parse_integer<int64_t>(line.substr(kName.size())).value_or(0);
      }
    }
  }
  return 0;
}

bool kill_cgroups(const std::vector<std::string>& cgroups) {
  bool empty = true;
  for (const std::string& cgroup : cgroups) {
    const std::vector<pid_t> pids = processes_of(cgroup);
    if (pids.empty()) continue;
    empty = false;
    if (write_into(cgroup + "/cgroup.kill", "1")) continue;
    for (const pid_t pid : pids) ::kill(pid, SIGKILL);
  }
  return empty;
}

bool remove_cgroups(const std::vector<std::string>& cgroups) {
  bool gone = true;
  for (const std::string& cgroup : cgroups) {
    // An application may have made groups of its own inside, if it could.
    for (const std::string& name : list_folder(cgroup)) {
      const std::string child = fmt::format("{}/{}", cgroup, name);
      struct stat status{};
      if (::stat(child.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) ::rmdir(child.c_str());
    }
    if (::rmdir(cgroup.c_str()) != 0 && errno != ENOENT) gone = false;
  }
  return gone;
}

}  // namespace mesclun::runtime
