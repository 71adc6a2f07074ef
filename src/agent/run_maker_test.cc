#include "agent/run_maker.h"

#include <gmock/gmock.h>

#include "agent/agent_test_kit.h"

namespace mesclun::agent {
namespace {

Assignment assignment(const json::object& spec) {
  Assignment out{.allocation_id = "a", .instance_id = "i", .spec = spec};
  out.group = {"gid", "gname", "pid", "pname", "oid", "oname"};
  return out;
}

runtime::RunSpec make(std::string_view more, int32_t share = 100) {
  const Assignment a = assignment(test_spec(more));
  const api::GroupSpec spec = *read_spec(a.spec);
  NodeIdentity node{.machine_id = "machine", .cpu_share_percent = share};
  return make_run(a, spec, node, "i", "");
}

TEST(RunMaker, PlatformVariablesWinAndHostnameDoesNot) {
  const runtime::RunSpec run = make(R"({"container": {"environment_variables": {
      "A": "b", "HOSTNAME": "mine", "SALAD_INSTANCE_ID": "forged", "SALAD_PROJECT_ID": "forged"}}})");
  const std::map<std::string, std::string> expected = {{"A", "b"},
                                                       {"CUDA_VISIBLE_DEVICES", "-1"},
                                                       {"HOSTNAME", "mine"},
                                                       {"NVIDIA_VISIBLE_DEVICES", "void"},
                                                       {"SALAD_CONTAINER_GROUP_ID", "gid"},
                                                       {"SALAD_CONTAINER_GROUP_NAME", "gname"},
                                                       {"SALAD_INSTANCE_ID", "i"},
                                                       {"SALAD_MACHINE_ID", "machine"},
                                                       {"SALAD_ORGANIZATION_ID", "oid"},
                                                       {"SALAD_ORGANIZATION_NAME", "oname"},
                                                       {"SALAD_PROJECT_ID", "pid"},
                                                       {"SALAD_PROJECT_NAME", "pname"}};
  EXPECT_EQ(run.environment, expected);
  EXPECT_EQ(make("{}").environment.at("HOSTNAME"), "i");
}

TEST(RunMaker, ItsImageIsCachedOnlyIfItsGroupSaysSo) {
  EXPECT_FALSE(make("{}").image_caching);
  EXPECT_TRUE(make(R"({"container": {"image_caching": true}})").image_caching);
}

TEST(RunMaker, TheInstanceIsToldHowManyNodesAreLeft) {
  Assignment told = assignment({});
  told.wish.nodes_left = 2;
  const runtime::RunSpec run = make_run(told, {}, {}, "i", "");
  EXPECT_EQ(run.environment.at("MESCLUN_NODES_LEFT"), "2");
}

TEST(RunMaker, TheInstanceSeesTheGpuThatItWasGiven) {
  Assignment told = assignment(test_spec(R"({"container": {"environment_variables": {
          "NVIDIA_VISIBLE_DEVICES": "all", "CUDA_VISIBLE_DEVICES": "0,1"}}})"));
  told.wish.gpu = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6";
  const runtime::RunSpec run = make_run(told, *read_spec(told.spec), {}, "i", "");
  EXPECT_EQ(run.environment.at("NVIDIA_VISIBLE_DEVICES"), told.wish.gpu);
  EXPECT_EQ(run.environment.at("CUDA_VISIBLE_DEVICES"), told.wish.gpu);
}

TEST(RunMaker, OnlyARealGpuIsAskedOfTheDriver) {
  Assignment told = assignment({});
  const NodeIdentity node{.gpus = {"GPU-a", "GPU-b"}};
  for (const auto& [given, asked] : std::map<std::string, std::vector<std::string>>{
           {"GPU-b", {"GPU-b"}}, {"0", {}}, {"GPU-c", {}}, {"", {}}}) {
    told.wish.gpu = given;
    EXPECT_EQ(make_run(told, {}, node, "i", "").gpus, asked) << given;
  }
}

TEST(RunMaker, LimitsComeFromResourcesAndTheNodesShare) {
  const runtime::RunSpec run =
      make(R"({"container": {"resources": {"cpu": 3, "memory": 2048}}})", 25);
  EXPECT_DOUBLE_EQ(run.cpu_cores, 0.75);
  EXPECT_EQ(run.memory_bytes, int64_t{2048} * 1024 * 1024);
  EXPECT_EQ(run.shm_bytes, int64_t{64} * 1024 * 1024);
  EXPECT_EQ(run.disk_bytes, 0) << "what suits the image";
  EXPECT_EQ(make(R"({"container": {"resources": {"storage_amount": 3000000000}}})").disk_bytes,
            3'000'000'000);
  EXPECT_EQ(make(R"({"container": {"resources": {"shm_size": 256}}})").shm_bytes,
            int64_t{256} * 1024 * 1024);
}

TEST(RunMaker, ThePortIsTheGatewaysOrTheQueues) {
  EXPECT_EQ(make("{}").port, 0);
  EXPECT_EQ(make(R"({"networking": {"port": 8000, "auth": false, "protocol": "http"}})").port,
            8000);
  EXPECT_EQ(make(R"({"queue_connection": {"queue_name": "q", "port": 9, "path": "/"}})").port, 9);
}

TEST(RunMaker, NonsenseIsNoSpec) {
  EXPECT_FALSE(read_spec(json::object{{"container", 7}}));
}

}  // namespace
}  // namespace mesclun::agent
