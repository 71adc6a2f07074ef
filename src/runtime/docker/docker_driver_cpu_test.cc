// Who gets how much of the CPU where containers and the machine's owner want more than there is.
#include "base/integer.h"
#include "base/text.h"
#include "runtime/docker/docker_driver_test_kit.h"
#include "runtime/walls/cgroup.h"

namespace mesclun::runtime {
namespace {

// Of a group of either version.
int64_t weight_of(const std::string& group) {
  const Result<std::string> shares = read_file(group + "/cpu.shares");
  const std::string text = shares ? *shares : read_file(group + "/cpu.weight").value_or("");
  const std::vector<std::string_view> lines = split(text, '\n');
  return lines.empty() ? -1 : parse_integer<int64_t>(lines[0]).value_or(-1);
}

TEST_F(DockerTest, ContainersGetByTheirCoresAndAllTogetherAsMuchAsOneSession) {
  run([this](DockerDriver& driver) -> Task<Result<>> {
    EXPECT_EQ(driver.facts().warnings.size(), 1u) << "only that they do not reach other machines";
    RunSpec small = spec("sleep 600");
    small.cpu_cores = 0.5;
    RunSpec large = spec("sleep 600");
    large.cpu_cores = 1.5;
    std::vector<std::string> groups;
    std::vector<int64_t> shares;
    Engine engine(loop_.clock, settings_.engine);
    for (const RunSpec& one : {small, large}) {
      CO_TRY_DO(co_await driver.create(one));
      CO_TRY(const DockerRecord record,
             read_record<DockerRecord>(
                 fmt::format("{}/runs/{}/run.json", settings_.data_folder, one.instance_id)));
      CO_TRY(const json::value known,
             co_await engine.call({.target = "/containers/" + record.container + "/json"}));
      EXPECT_EQ(known.at("HostConfig").at("CgroupParent"), "/mesclun");
      shares.push_back(known.at("HostConfig").at("CpuShares").as_int64());
      groups.push_back(Cgroups::of_this_machine().paths_of(record.container).at(0));
    }
    EXPECT_EQ(shares, (std::vector<int64_t>{512, 1536}));
    const std::string parent = groups[0].substr(0, groups[0].rfind('/'));
    const bool v2 = !read_file(parent + "/cpu.shares");
    EXPECT_EQ(weight_of(parent), v2 ? 100 : 1024);
    EXPECT_GT(weight_of(groups[0]), 0);
    EXPECT_GT(weight_of(groups[1]), weight_of(groups[0]));
    if (!v2) EXPECT_EQ(weight_of(groups[1]), 1536);

    const int64_t before = weight_of(groups[0]);
    const RunLimits more{.cpu_cores = 1, .memory_bytes = 64 * kMiB};
    CO_TRY_DO(co_await driver.set_limits(small.instance_id, more));
    EXPECT_GT(weight_of(groups[0]), before);
    co_return Result<>();
  });
}

}  // namespace
}  // namespace mesclun::runtime
