#include <gtest/gtest.h>

#include "api/availability.h"
#include "api/container_group.h"
#include "api/gpu_class.h"
#include "api/instance.h"
#include "api/names.h"
#include "api/problem.h"
#include "base/ids.h"
#include "base/text.h"

namespace mesclun::api {
namespace {

json::value document(std::string_view text) {
  return parse_json(text).value();
}

constexpr std::string_view kSmallest = R"({
  "name": "ocr", "replicas": 3, "autostart_policy": true, "restart_policy": "always",
  "container": {"image": "example/ocr", "resources": {"cpu": 1, "memory": 1024}}})";

Result<GroupSpec> read(std::string_view text) {
  return read_group_spec(document(text), known_gpu_classes());
}
Result<GroupSpec> read_with(std::string_view patch) {
  return read_group_spec(merge_patch(document(kSmallest), document(patch)), known_gpu_classes());
}
std::string problem_of(std::string_view patch) {
  const auto spec = read_with(patch);
  return spec ? "" : spec.error().message;
}
Result<GroupChange> patch(std::string_view base_patch, std::string_view text) {
  TRY(const GroupSpec spec, read_with(base_patch));
  return patch_group_spec(spec, document(text), known_gpu_classes());
}

TEST(GroupSpec, SmallestCreateGetsEveryDefault) {
  const auto spec = read(kSmallest);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->display_name, "ocr");
  EXPECT_EQ(effective_priority(*spec), Priority::Batch) << "without a GPU always the lowest level";
  EXPECT_FALSE(spec->networking);
}

TEST(GroupSpec, ProblemsNameTheField) {
  EXPECT_NE(problem_of(R"({"replicas": 501})").find("/replicas must be between 0 and 500"),
            std::string::npos);
  EXPECT_NE(problem_of(R"({"name": "A"})").find("/name"), std::string::npos);
  EXPECT_NE(problem_of(R"({"replicas": "3"})").find("/replicas"), std::string::npos);
  EXPECT_NE(problem_of(R"({"container": {"resources": {"cpu": 0}}})")
                .find("/container/resources/cpu must be between 1 and 1024"),
            std::string::npos);
  EXPECT_NE(problem_of(R"({"country_codes": ["us", "zz"]})").find("/country_codes/1"),
            std::string::npos);
  EXPECT_NE(problem_of(R"({"liveness_probe": {"tcp": {"port": 65536}}})")
                .find("/liveness_probe/tcp/port"),
            std::string::npos);
  EXPECT_NE(problem_of(R"({"container": {"image": null}})").find("/container/image is required"),
            std::string::npos);
}

TEST(GroupSpec, TakesWhatTheExamplesSend) {
  const auto spec = read_with(R"({
    "autostart_policy": null, "restart_policy": null, "country_codes": ["US", "no", "us"],
    "container": {"resources": {"gpu_classes": [" rtx 4090 (24 gb) "]}, "command": null},
    "readiness_probe": {"http": {"path": "/health", "port": 8080, "scheme": "http", "headers": []}},
    "unknown": 1})");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_FALSE(spec->autostart_policy);
  EXPECT_EQ(spec->country_codes, (std::vector<std::string>{"us", "no"}));
  EXPECT_EQ(spec->container.resources.gpu_classes,
            std::vector<std::string>{"ed563892-aacd-40f5-80b7-90c9be6c759b"});
  ASSERT_TRUE(spec->readiness_probe);
  EXPECT_EQ(spec->readiness_probe->period_seconds, 1);
  EXPECT_EQ(spec->readiness_probe->failure_threshold, 3);
  ASSERT_EQ(spec->readiness_probe->http->headers.size(), 1u) << "never an empty list in an answer";
}

TEST(GroupSpec, NumbersAndBooleansOfAnEnvironmentBecomeText) {
  const auto spec = read_with(R"({"container": {"environment_variables": {
      "PORT": 8080, "BIG": 18446744073709551615, "RATE": 0.5, "DEBUG": true, "NAME": "x"}}})");
  ASSERT_TRUE(spec) << spec.error().message;
  const std::map<std::string, std::string> expected = {{"PORT", "8080"},
                                                       {"BIG", "18446744073709551615"},
                                                       {"RATE", "0.5"},
                                                       {"DEBUG", "true"},
                                                       {"NAME", "x"}};
  EXPECT_EQ(spec->container.environment_variables, expected);
  EXPECT_NE(problem_of(R"({"container": {"environment_variables": {"LIST": [1]}}})")
                .find("/container/environment_variables/LIST"),
            std::string::npos);
}

TEST(GroupSpec, RulesBoundProbesAndCommands) {
  const json::value wanted =
      merge_patch(document(kSmallest),
                  document(R"({"startup_probe": {"tcp": {"port": 80}, "failure_threshold": 200},
                                        "container": {"command": ["sh", "-c", ")" +
                           std::string(4000, 'x') + R"("]}})"));
  EXPECT_TRUE(read_group_spec(wanted, known_gpu_classes()));
  SpecRules strict(known_gpu_classes());
  strict.probe_failures_max = 20;
  strict.command_item_max = 1000;
  const auto refused = read_group_spec(wanted, strict);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("/startup_probe/failure_threshold"), std::string::npos);
  EXPECT_NE(refused.error().message.find("/container/command/2"), std::string::npos);
}

TEST(GpuClasses, AreFoundAsPeopleWriteThem) {
  const auto name_of = [](std::string_view text) {
    const auto found = find_gpu_class(known_gpu_classes(), text);
    return found ? (*found)->name : found.error().message;
  };
  EXPECT_EQ(name_of("rtx4090"), "RTX 4090 (24 GB)");
  EXPECT_EQ(name_of("RTX-3080-Ti"), "RTX 3080 Ti (12 GB)");
  EXPECT_EQ(name_of("rtx 3060 (12gb)"), "RTX 3060 (12 GB)");
  EXPECT_EQ(name_of("GTX 1080"), "GTX 1070, 1080, 1080Ti (8 GB)");
  EXPECT_EQ(name_of("gtx 1080 ti (8 GB)"), "GTX 1070, 1080, 1080Ti (8 GB)");
  EXPECT_EQ(name_of("851399FB-7329-4195-A042-D6514B28CF33"), "RTX 5090 (32 GB)");
  EXPECT_NE(name_of("rtx 3060").find("'RTX 3060 (12 GB)' or 'RTX 3060 (8 GB)'"), std::string::npos)
      << "two classes have that name";
  EXPECT_NE(name_of("rtx").find("is no GPU class"), std::string::npos);
  EXPECT_NE(name_of("()").find("is no GPU class"), std::string::npos);
  EXPECT_NE(name_of("RTX 4091").find("did you mean rtx4090"), std::string::npos);
}

TEST(GpuClasses, HaveDistinctIdsAndFourPrices) {
  std::set<std::string> ids;
  std::set<std::string> names;
  for (const GpuClass& gpu : known_gpu_classes()) {
    EXPECT_TRUE(is_uuid(gpu.id)) << gpu.id;
    EXPECT_TRUE(ids.insert(gpu.id).second) << gpu.id;
    EXPECT_TRUE(names.insert(lower_case(gpu.name)).second) << gpu.name;
    EXPECT_EQ(gpu.prices.size(), 4u) << gpu.name;
  }
}

TEST(GroupSpec, SurvivesBeingStored) {
  const auto spec = read_with(R"({"networking": {"auth": true, "port": 80, "protocol": "http"},
      "startup_probe": {"exec": {"command": ["true"]}},
      "container": {"environment_variables": {"A": "1"}, "priority": "low"}})");
  ASSERT_TRUE(spec) << spec.error().message;
  const auto again = read_group_spec(write_json(*spec), known_gpu_classes());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, *spec);
}

TEST(GroupSpec, CredentialsAreNotKept) {
  const auto spec = read_with(
      R"({"container": {"registry_authentication": {"basic": {"username": "u", "password": "p"}}}})");
  ASSERT_TRUE(spec);
  EXPECT_EQ(json::serialize(write_json(*spec)).find("password"), std::string::npos);
}

TEST(GroupPatch, ReplicasAloneMakeNoNewVersion) {
  const auto change = patch("{}", R"({"replicas": 5, "display_name": "Five"})");
  ASSERT_TRUE(change) << change.error().message;
  EXPECT_EQ(change->spec.replicas, 5);
  EXPECT_TRUE(change->replicas_changed);
  EXPECT_FALSE(change->new_version);
  EXPECT_FALSE(change->restart);
}

TEST(GroupPatch, EnvironmentMergesByKeyAndRestartsAll) {
  const auto change = patch(R"({"container": {"environment_variables": {"A": "1", "B": "2"}}})",
                            R"({"container": {"environment_variables": {"A": null, "C": "3"}}})");
  ASSERT_TRUE(change) << change.error().message;
  EXPECT_EQ(change->spec.container.environment_variables,
            (std::map<std::string, std::string>{{"B", "2"}, {"C", "3"}}));
  EXPECT_TRUE(change->restart);
  EXPECT_TRUE(change->new_version);
}

TEST(GroupPatch, NullMeansWhatTheFieldSays) {
  const auto change = patch(
      R"({"display_name": "Old", "country_codes": ["de"], "liveness_probe": {"tcp": {"port": 80}}})",
      R"({"replicas": null, "display_name": null, "country_codes": null, "liveness_probe": null,
          "container": null})");
  ASSERT_TRUE(change) << change.error().message;
  EXPECT_EQ(change->spec.replicas, 3);
  EXPECT_EQ(change->spec.display_name, "ocr");
  EXPECT_TRUE(change->spec.country_codes.empty());
  EXPECT_FALSE(change->spec.liveness_probe);
}

TEST(GroupPatch, AnotherProbeActionReplacesTheOldOne) {
  const auto change = patch(R"({"liveness_probe": {"tcp": {"port": 80}}})",
                            R"({"liveness_probe": {"exec": {"command": ["true"]}}})");
  ASSERT_TRUE(change) << change.error().message;
  EXPECT_FALSE(change->spec.liveness_probe->tcp);
  EXPECT_TRUE(change->spec.liveness_probe->exec);
}

TEST(GroupPatch, ImmutableMembersAreRefusedUnlessEqual) {
  EXPECT_TRUE(patch("{}", R"({"name": "ocr", "restart_policy": "always"})"));
  EXPECT_FALSE(patch("{}", R"({"name": "other"})"));
  EXPECT_FALSE(patch("{}", R"({"restart_policy": "never"})"));
  EXPECT_FALSE(patch("{}", R"({"networking": {"auth": false, "port": 80, "protocol": "http"}})"));
  const char* with = R"({"networking": {"auth": false, "port": 80, "protocol": "http"}})";
  EXPECT_TRUE(patch(with, R"({"networking": {"port": 81}})"));
  EXPECT_FALSE(patch(with, R"({"networking": null})"));
}

TEST(GroupPatch, GatewaySettingsRestartNothing) {
  const char* with = R"({"networking": {"auth": false, "port": 80, "protocol": "http"}})";
  const auto change = patch(with, R"({"networking": {"auth": true, "load_balancer": "adaptive"}})");
  ASSERT_TRUE(change);
  EXPECT_FALSE(change->new_version);
  EXPECT_EQ(change->spec.networking->load_balancer, LoadBalancer::Adaptive);
  EXPECT_TRUE(patch(with, R"({"networking": {"port": 81, "auth": true}})")->restart);
}

TEST(GroupPatch, ResourcesMoveOnlyWhatNoLongerFits) {
  const auto change = patch("{}", R"({"container": {"resources": {"memory": 2048}}})");
  ASSERT_TRUE(change);
  EXPECT_TRUE(change->placement_changed);
  EXPECT_TRUE(change->new_version);
  EXPECT_FALSE(change->restart);
}

TEST(GroupJson, HasWhatPublishedClientsRequire) {
  const auto spec = read_with(R"({"networking": {"auth": true, "port": 80, "protocol": "http"}})");
  GroupFacts facts{.id = "id", .organization_name = "acme", .project_name = "web"};
  facts.dns = "ocr.localhost";
  json::object group = group_json(*spec, facts);
  for (const char* member : {"scaling-actions", "scheduled-scaling-enabled", "priority",
                             "country_codes", "pending_change", "version", "current_state"}) {
    EXPECT_TRUE(group.contains(member)) << member;
  }
  EXPECT_EQ(group["networking"].at("dns").as_string(), "ocr.localhost");
  EXPECT_FALSE(group["container"].as_object().contains("priority"));
  EXPECT_FALSE(group["container"].as_object().contains("registry_authentication"));
  EXPECT_TRUE(group["current_state"].at("finish_time").is_string());
  drop_members_unknown_to_go(group);
  EXPECT_FALSE(group.contains("scaling-actions"));
}

TEST(InstancePatch, OnlyTheDeletionCostWithinItsRange) {
  EXPECT_EQ(read_instance_patch(document(R"({"deletion_cost": 7})")).value(), 7);
  EXPECT_EQ(read_instance_patch(document(R"({"deletion_cost": null})")).value(), 0);
  EXPECT_FALSE(read_instance_patch(document("{}")).value());
  EXPECT_FALSE(read_instance_patch(document(R"({"deletion_cost": 100001})")));
  EXPECT_FALSE(read_instance_patch(document(R"({"deletion_cost": -1})")));
  EXPECT_FALSE(read_instance_patch(document(R"({"state": "running"})")));
}

TEST(Problem, BodyAndBack) {
  const std::string body =
      problem_json(Error{ErrorCode::AlreadyExists, "taken", Cause::NameConflict});
  const Error back = error_from_problem(400, body);
  EXPECT_EQ(back.cause, Cause::NameConflict);
  EXPECT_EQ(back.message, "taken");
  EXPECT_EQ(error_from_problem(502, "<html>").code, ErrorCode::Internal);
}

TEST(Names, FollowTheContract) {
  for (const char* good : {"ab", "a1", "my-group-2"}) EXPECT_TRUE(is_name(good)) << good;
  for (const char* bad : {"a", "1a", "a-", "A1", "a_b", ""}) EXPECT_FALSE(is_name(bad)) << bad;
  EXPECT_FALSE(is_name(std::string(64, 'a')));
  EXPECT_TRUE(is_display_name("OCR, v. 1-2"));
  EXPECT_FALSE(is_display_name("a+b"));
  EXPECT_TRUE(is_country_code("no"));
  EXPECT_FALSE(is_country_code("xx"));
}

TEST(GroupSpec, LengthsCountCharactersAsTheContractDoes) {
  std::string path = "/";
  for (int i = 0; i < 2047; ++i) path += "\xC3\xA4";  // ä: 2,048 characters of 4,095 bytes
  const auto with_path = [](const std::string& text) {
    return R"({"container": {"image": ")" + text + R"("}})";
  };
  EXPECT_EQ(problem_of(with_path(path)).find("characters"), std::string::npos);
  EXPECT_NE(
      problem_of(with_path(path + "\xC3\xA4")).find("must have 1 to 2048 characters, not 2049"),
      std::string::npos);
}

TEST(AvailabilityQuery, AsksForWhatASmallGroupNeedsUnlessItSaysMore) {
  const auto query = read_availability_query(document(R"({"country_codes": ["DE"], "cpu": null})"),
                                             false, known_gpu_classes());
  ASSERT_TRUE(query) << query.error().message;
  EXPECT_EQ(query->country_codes, std::vector<std::string>{"de"});
  EXPECT_EQ(query->resources.cpu, 1);
  EXPECT_EQ(query->resources.memory, 1024);
  EXPECT_TRUE(query->resources.gpu_classes.empty());
}

TEST(AvailabilityQuery, NamesEveryFieldThatIsWrong) {
  const auto query = read_availability_query(
      document(R"({"country_codes": ["xx"], "cpu": 0, "memory": "1", "gpu_classes": []})"), true,
      known_gpu_classes());
  ASSERT_FALSE(query);
  for (const char* field : {"/country_codes/0", "/cpu", "/memory", "/gpu_classes"}) {
    EXPECT_NE(query.error().message.find(field), std::string::npos) << query.error().message;
  }
}

}  // namespace
}  // namespace mesclun::api
