#include "runtime/walls/cgroup_usage.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/file.h"
#include "base/integer.h"
#include "base/text.h"
#include "runtime/walls/mountinfo.h"

namespace mesclun::runtime {

namespace {

// On the line that begins with `label`.
std::optional<int64_t> read_number(const std::string& file, std::string_view label) {
  const Result<std::string> text = read_file(file);
  if (!text) return std::nullopt;
  for (const std::string_view line : split(*text, '\n')) {
    if (!line.starts_with(label)) continue;
    return parse_integer<int64_t>(line.substr(label.size()));
  }
  return std::nullopt;
}

// Of version 1 with that controller; of version 2 for "".
std::optional<CgroupMount> find_mount(std::string_view mountinfo, std::string_view controller) {
  for (CgroupMount& mount : list_cgroup_mounts(mountinfo)) {
    if (controller.empty() ? mount.v2 : !mount.v2 && mount.has(controller)) return std::move(mount);
  }
  return std::nullopt;
}

// Lines are "number:controller,...:path", with no controller for version 2.
std::string_view path_of(std::string_view cgroups, std::string_view controller) {
  for (const std::string_view line : split(cgroups, '\n')) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    const std::vector<std::string_view> words = split(names, ',');
    const bool named =
        controller.empty() ? names.empty() : std::ranges::find(words, controller) != words.end();
    if (named) return line.substr(second + 1);
  }
  return "";
}

struct Places {
  std::string_view mountinfo;
  std::string_view theirs;
  std::string_view ours;

  std::string folder(std::string_view controller) const {
    const std::optional<CgroupMount> mount = find_mount(mountinfo, controller);
    std::string_view path = path_of(theirs, controller);
    if (!mount || path == path_of(ours, controller)) return "";
    if (mount->root != "/") {
      if (!path.starts_with(mount->root)) return "";
      path.remove_prefix(mount->root.size());
    }
    // Above our own root the kernel says "/..".
    if (path.size() < 2 || path.front() != '/' || path.starts_with("/..")) return "";
    return fmt::format("{}{}", mount->point, path);
  }
};

}  // namespace

CgroupUsage read_usage(const CgroupCounters& counters) {
  CgroupUsage out;
  if (!counters.cpu.empty()) {
    // Version 1 may count in a hierarchy of its own, where there is no such file here.
    const auto nanos = read_number(counters.cpu + "/cpuacct.usage", "");
    const auto micros = read_number(counters.cpu + "/cpu.stat", "usage_usec ");
    if (nanos) out.cpu_time = std::chrono::nanoseconds(*nanos);
    if (micros && counters.cpu_v2) out.cpu_time = std::chrono::microseconds(*micros);
  }
  if (!counters.memory.empty()) {
    const bool v2 = counters.memory_v2;
    const std::string& folder = counters.memory;
    const auto all = read_number(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"), "");
    const auto files =
        read_number(folder + "/memory.stat", v2 ? "inactive_file " : "total_inactive_file ");
    if (all) out.memory_bytes = std::max<int64_t>(0, *all - files.value_or(0));
  }
  return out;
}

CgroupCounters find_counters(std::string_view mountinfo, std::string_view theirs,
                             std::string_view ours) {
  const Places places{.mountinfo = mountinfo, .theirs = theirs, .ours = ours};
  CgroupCounters out{.cpu = places.folder("cpuacct"), .memory = places.folder("memory")};
  out.cpu_v2 = out.cpu.empty();
  out.memory_v2 = out.memory.empty();
  if (out.cpu_v2) out.cpu = places.folder("");
  if (out.memory_v2) out.memory = places.folder("");
  return out;
}

CgroupCounters counters_of(pid_t process) {
  const Result<std::string> mountinfo = read_file("/proc/self/mountinfo");
  const Result<std::string> theirs = read_file(fmt::format("/proc/{}/cgroup", process));
  const Result<std::string> ours = read_file("/proc/self/cgroup");
  if (!mountinfo || !theirs || !ours) return {};
  return find_counters(*mountinfo, *theirs, *ours);
}

}  // namespace mesclun::runtime
