#include "sim/wishes.h"

#include <gtest/gtest.h>

#include <set>

#include "api/gpu_class.h"

namespace mesclun::sim {
namespace {

void name_members(const json::object& patch, const std::string& prefix,
                  std::set<std::string>& names) {
  for (const auto& [name, value] : patch) {
    const std::string full = prefix + std::string(name);
    names.insert(full);
    const bool deeper = name == "container" || name == "resources";
    if (deeper && value.is_object()) name_members(value.get_object(), full + ".", names);
  }
}

// Goal: users change everything that may be changed, and ask for nothing that is refused. Method:
// many patches, each on the group that the one before left.
TEST(Wishes, EveryMemberIsChangedAndNothingIsRefused) {
  SeededRandom random(3);
  std::set<std::string> names;
  for (int number = 0; number < 50; ++number) {
    api::GroupSpec spec = random_spec(random, number, 5);
    for (int i = 0; i < 40; ++i) {
      const json::object patch = random_patch(random, 5);
      auto changed = api::patch_group_spec(spec, patch, api::known_gpu_classes());
      ASSERT_TRUE(changed) << json::serialize(patch) << ": " << changed.error().message;
      spec = std::move(changed->spec);
      name_members(patch, "", names);
    }
  }
  for (const std::string_view name :
       {"replicas", "country_codes", "display_name", "liveness_probe", "readiness_probe",
        "startup_probe", "container.image", "container.command", "container.environment_variables",
        "container.priority", "container.image_caching", "container.resources.cpu",
        "container.resources.memory", "container.resources.gpu_classes",
        "container.resources.storage_amount", "container.resources.shm_size"}) {
    EXPECT_TRUE(names.contains(std::string(name))) << name;
  }
}

TEST(Wishes, SomeAreJobs) {
  SeededRandom random(3);
  int jobs = 0;
  for (int number = 0; number < 100; ++number) {
    const api::GroupSpec spec = random_spec(random, number, 5);
    if (spec.container.command.front() != kJob) continue;
    ++jobs;
    EXPECT_NE(spec.restart_policy, api::RestartPolicy::Always);
  }
  EXPECT_GT(jobs, 10);
}

}  // namespace
}  // namespace mesclun::sim
