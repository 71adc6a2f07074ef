#include "runtime/docker/cgroup_parent.h"

#include <fmt/format.h>

#include "runtime/docker/answer.h"
#include "runtime/walls/cgroup.h"

namespace mesclun::runtime {

namespace {

constexpr const char* kSystemd = "systemd";
constexpr const char* kCgroupFs = "cgroupfs";

}  // namespace

std::string cgroup_parent_name(const json::value& info) {
  const std::string driver = text_of(info, "CgroupDriver");
  if (driver == kSystemd) return fmt::format("{}.slice", kCgroupParent);
  // Without the slash it would be below the engine's own group.
  if (driver == kCgroupFs) return fmt::format("/{}", kCgroupParent);
  return "";
}

Result<std::string> make_cgroup_parent(const json::value& info) {
  std::string name = cgroup_parent_name(info);
  if (name.empty()) return Error::unavailable("the engine has no control groups");
  // A slice has that weight by itself, and is nobody's to write to but systemd's.
  if (text_of(info, "CgroupDriver") == kCgroupFs) {
    TRY_DO(Cgroups::of_this_machine().create_parent());
  }
  return name;
}

}  // namespace mesclun::runtime
