#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "companion/config_fields.h"
#include "companion/config_reader.h"

namespace mesclun::companion {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

LoadedConfig read(std::string_view text, Environment environment = {}) {
  return read_config("app.yaml", text, environment);
}

std::string problems_of(const LoadedConfig& loaded) {
  std::string out;
  for (const ConfigProblem& problem : loaded.problems) {
    out += problem.where + ": " + problem.text + "\n";
  }
  return out;
}

TEST(Config, AnEmptyFileIsAllDefaults) {
  const LoadedConfig loaded = read("");
  EXPECT_EQ(problems_of(loaded), "");
  EXPECT_THAT(loaded.set, IsEmpty());
  EXPECT_EQ(loaded.config.front.queue_max, 100);
}

TEST(Config, EveryKindOfValueIsRead) {
  const LoadedConfig loaded = read(R"(
application: {address: "127.0.0.1:8001", on_failed: exit, check: {path: /hc, interval: 500ms}}
front:
  listen: ":8000"
  queue_max: 8
  timeout: 3s
  body_max: 1MiB
batch:
  paths: [/predict]
  size_max: 4
  cost: header X-Tokens
  cost_max: 2048
  key: json /model
  retry_singly: false
checks:
  latency: [{address: "example.com:443", ms_max: 200}]
monitor: {work: requests, bad_below: 1, slow_below: 2.5, fast_above: 9}
)");
  EXPECT_EQ(problems_of(loaded), "");
  const Config& config = loaded.config;
  EXPECT_EQ(config.application.on_failed, Action::Exit);
  EXPECT_EQ(config.application.check_path, "/hc");
  EXPECT_EQ(config.application.check_interval, 500ms);
  EXPECT_EQ(config.front.queue_max, 8);
  EXPECT_EQ(config.front.timeout, 3s);
  EXPECT_EQ(config.front.body_max, 1u << 20);
  EXPECT_THAT(config.batch.paths, SizeIs(1));
  EXPECT_EQ(config.batch.cost.kind, FieldSource::Kind::Header);
  EXPECT_EQ(config.batch.key.name, "/model");
  EXPECT_FALSE(config.batch.retry_singly);
  ASSERT_THAT(config.checks.latency, SizeIs(1));
  EXPECT_EQ(config.checks.latency[0].ms_max, 200);
  EXPECT_EQ(config.monitor.slow_below, 2.5);
}

TEST(Config, TheEnvironmentWinsOverTheFile) {
  const LoadedConfig loaded =
      read("front: {listen: ':80', queue_max: 9}\napplication: {address: '127.0.0.1:81'}\n",
           {{"MESCLUN_APP_FRONT_QUEUE_MAX", "12"},
            {"MESCLUN_APP_BATCH_PATHS", "[/a, /b]"},
            {"MESCLUN_APP_APPLICATION_CHECK_PATH", "/yes"},
            {"SALAD_METADATA_URI", "http://127.0.0.1:9"}});
  EXPECT_EQ(problems_of(loaded), "");
  EXPECT_EQ(loaded.config.front.queue_max, 12);
  EXPECT_THAT(loaded.config.batch.paths, SizeIs(2));
  EXPECT_EQ(loaded.config.application.check_path, "/yes");
  EXPECT_EQ(loaded.config.metadata.uri, "http://127.0.0.1:9");
}

TEST(Config, MistakesNameTheirLineAndAWayOut) {
  const LoadedConfig loaded = read(R"(front:
  listen: ":8000"
  queue_mux: 8
  timeout: 3
batch:
  size_max: lots
checks: 5
fronts: {}
)");
  const std::string problems = problems_of(loaded);
  EXPECT_THAT(problems, HasSubstr("app.yaml:3: there is no setting front.queue_mux; did you mean "
                                  "queue_max?"));
  EXPECT_THAT(problems, HasSubstr("app.yaml:4: front.timeout must be a time with its unit"));
  EXPECT_THAT(problems, HasSubstr("app.yaml:6: batch.size_max must be a whole number from 1"));
  EXPECT_THAT(problems, HasSubstr("app.yaml:7: checks must be a section"));
  EXPECT_THAT(problems, HasSubstr("app.yaml:8: there is no setting fronts; did you mean front?"));
}

TEST(Config, BadVariablesAreNamed) {
  const LoadedConfig loaded =
      read("", {{"MESCLUN_APP_FRONT_QUEUE_MAX", "-1"}, {"MESCLUN_APP_FRONT_QEUE_MAX", "1"}});
  const std::string problems = problems_of(loaded);
  EXPECT_THAT(problems, HasSubstr("$MESCLUN_APP_FRONT_QUEUE_MAX: front.queue_max must be"));
  EXPECT_THAT(problems, HasSubstr("did you mean MESCLUN_APP_FRONT_QUEUE_MAX?"));
}

TEST(Config, ServiceLinksOfKubernetesAreNobodysMistake) {
  const Environment links = {{"MESCLUN_APP_PORT", "tcp://10.0.0.1:80"},
                             {"MESCLUN_APP_SERVICE_HOST", "10.0.0.1"},
                             {"MESCLUN_APP_SERVICE_PORT", "80"},
                             {"MESCLUN_APP_SERVICE_PORT_HTTP", "80"},
                             {"MESCLUN_APP_PORT_80_TCP", "tcp://10.0.0.1:80"},
                             {"MESCLUN_APP_PORT_80_TCP_PROTO", "tcp"},
                             {"MESCLUN_APP_PORT_80_TCP_PORT", "80"},
                             {"MESCLUN_APP_PORT_80_TCP_ADDR", "10.0.0.1"},
                             {"MESCLUN_APP_FRONT_SERVICE_HOST", "10.0.0.2"}};
  const LoadedConfig loaded = read("", links);
  EXPECT_EQ(problems_of(loaded), "");
  EXPECT_THAT(loaded.ignored, SizeIs(links.size()));
  EXPECT_THAT(problems_of(read("", {{"MESCLUN_APP_PORT", "8000"}})), HasSubstr("no such setting"));
}

TEST(Config, ClashesNameBothSides) {
  const LoadedConfig loaded = read(R"(
application: {address: "127.0.0.1:8000"}
front: {listen: ":8000", queue_max: 8}
batch: {paths: [/predict], size_max: 16}
monitor: {work: requests, bad_below: 50, slow_below: 40}
)");
  const std::string problems = problems_of(loaded);
  EXPECT_THAT(problems, HasSubstr("app.yaml:4: batch.size_max (16) is larger than front.queue_max "
                                  "(8)"));
  EXPECT_THAT(problems, HasSubstr("application.address has the port of front.listen (8000)"));
  EXPECT_THAT(problems, HasSubstr("monitor.slow_below must lie between"));
}

TEST(Config, BrokenYamlSaysWhere) {
  EXPECT_THAT(problems_of(read("front: [")), HasSubstr("line"));
}

TEST(Config, SecretsAreNotShown) {
  const LoadedConfig loaded = read("checks: {bucket: {secret_access_key: hush}}");
  ASSERT_THAT(loaded.set, SizeIs(1));
  EXPECT_EQ(loaded.set[0].value, "***");
}

TEST(Config, EverySettingIsDescribed) {
  const std::string text = describe_settings();
  EXPECT_THAT(text, HasSubstr("$MESCLUN_APP_FRONT_QUEUE_MAX"));
  EXPECT_THAT(text, HasSubstr("$MESCLUN_APP_CHECKS_BUCKET_SECRET_ACCESS_KEY"));
}

}  // namespace
}  // namespace mesclun::companion
