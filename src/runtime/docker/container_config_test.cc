#include "runtime/docker/container_config.h"

#include <gtest/gtest.h>

#include "runtime/docker/cgroup_parent.h"

namespace mesclun::runtime {
namespace {

TEST(ContainerConfig, AContainerGetsItsLimitsAndNothingOfTheMachine) {
  const RunSpec spec{.instance_id = std::string(70, 'a'),
                     .image = "app:1",
                     .environment = {{"SECRET", "x"}},
                     .cpu_cores = 1.5,
                     .memory_bytes = int64_t{1} << 30,
                     .shm_bytes = int64_t{1} << 26};
  const json::object config = container_config(
      spec, {.files = "f", .data_folder = "/d", .starter = "/d/starter", .door = "/d/door"});
  const json::object& host = config.at("HostConfig").as_object();
  EXPECT_EQ(host.at("NanoCpus"), 1'500'000'000);
  EXPECT_EQ(host.at("CpuShares"), 1536);
  EXPECT_EQ(host.at("Memory"), int64_t{1} << 30);
  EXPECT_EQ(host.at("MemorySwap"), host.at("Memory"));
  EXPECT_EQ(host.at("ShmSize"), int64_t{1} << 26);
  EXPECT_EQ(host.at("NetworkMode"), "none");
  EXPECT_EQ(host.at("CapDrop"), json::array{"ALL"});
  EXPECT_EQ(host.at("SecurityOpt"), json::array{"no-new-privileges"});
  EXPECT_EQ(host.if_contains("Privileged"), nullptr);
  for (const json::value& bind : host.at("Binds").as_array()) {
    EXPECT_TRUE(bind.as_string().ends_with(":ro")) << bind;
  }
  EXPECT_EQ(config.at("Hostname").as_string().size(), 63u);
  EXPECT_EQ(json::serialize(config).find("SECRET"), std::string::npos)
      << "whoever may ask the engine would see it";
}

TEST(ContainerConfig, AllContainersHaveOneGroupAboveThem) {
  const auto parent = [](std::string_view info) {
    return cgroup_parent_name(parse_json(info).value());
  };
  EXPECT_EQ(parent(R"({"CgroupDriver": "systemd", "CgroupVersion": "2"})"), "mesclun.slice");
  EXPECT_EQ(parent(R"({"CgroupDriver": "cgroupfs", "CgroupVersion": "1"})"), "/mesclun");
  EXPECT_EQ(parent(R"({"CgroupDriver": "none"})"), "");
  EXPECT_EQ(parent("{}"), "");
  const json::object with = container_config({.image = "a"}, {.cgroup_parent = "mesclun.slice"});
  EXPECT_EQ(with.at("HostConfig").at("CgroupParent"), "mesclun.slice");
  EXPECT_FALSE(
      container_config({.image = "a"}, {}).at("HostConfig").as_object().contains("CgroupParent"));
}

TEST(ContainerConfig, OnlyARealGpuIsAskedFor) {
  RunSpec spec{.instance_id = "a", .image = "app:1"};
  spec.environment["NVIDIA_VISIBLE_DEVICES"] = "0";  // a pretended one
  const json::object without = container_config(spec, {});
  EXPECT_EQ(without.at("HostConfig").as_object().if_contains("DeviceRequests"), nullptr);
  EXPECT_EQ(without.at("Env"), json::array{"NVIDIA_VISIBLE_DEVICES=void"});

  spec.gpus = {"GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"};
  const json::object with = container_config(spec, {});
  EXPECT_EQ(with.at("HostConfig").at("DeviceRequests"),
            parse_json(R"([{"Driver": "nvidia", "Capabilities": [["gpu"]],
                            "DeviceIDs": ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"]}])")
                .value());
  EXPECT_EQ(with.if_contains("Env"), nullptr) << "the engine says it";
}

TEST(ContainerConfig, AnImageRunsItsEntrypointWithItsCommand) {
  const auto command = [](std::string_view config) {
    return command_of_image(parse_json(config).value());
  };
  EXPECT_EQ(command(R"({"Config": {"Entrypoint": ["a", "b"], "Cmd": ["c"]}})"),
            (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(command(R"({"Config": {"Entrypoint": null, "Cmd": ["c"]}})"),
            std::vector<std::string>{"c"});
  EXPECT_TRUE(command(R"({"Config": {}})").empty());
  EXPECT_TRUE(command(R"({"Config": null})").empty());
  EXPECT_TRUE(command("null").empty());
}

}  // namespace
}  // namespace mesclun::runtime
