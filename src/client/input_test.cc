#include "client/input.h"

#include <gtest/gtest.h>

#include <fstream>

#include "client/fake_api.h"
#include "client/group_verbs.h"

namespace mesclun::client {
namespace {

constexpr const char* kYaml = R"(# a group
name: echo
replicas: 2
container:
  image: ghcr.io/me/echo:1
  resources:
    cpu: 1
    memory: 1024
  environment_variables:
    DEBUG: "1"
country_codes: [no, de]
)";

TEST(Document, YamlAndJsonGiveTheSameValue) {
  const Document yaml = parse_document("group.yaml", kYaml).value();
  const Document json = parse_document("group.json", json::serialize(yaml.value)).value();
  EXPECT_EQ(yaml.value, json.value);
  EXPECT_EQ(yaml.value.at("country_codes").at(0).as_string(), "no");
  EXPECT_EQ(yaml.value.at("container").at("environment_variables").at("DEBUG").as_string(), "1");
}

TEST(Document, JsonOnStandardInputIsKnownByItsFirstCharacter) {
  EXPECT_EQ(parse_document("standard input", "\n {\"a\": 1}").value().value.at("a"), 1);
  EXPECT_EQ(parse_document("standard input", "a: 1").value().value.at("a"), 1);
  EXPECT_EQ(parse_document("x.yaml", "{a: 1}").value().value.at("a"), 1);
}

TEST(Document, MistakesOfFormNameTheLine) {
  const auto message = [](const char* name, const char* text) {
    return parse_document(name, text).error().message;
  };
  EXPECT_TRUE(message("g.json", "{\n  \"a\": 1,\n  oops\n}").starts_with("g.json:3: malformed"));
  EXPECT_TRUE(message("g.yaml", "a: 1\nb: [1, 2\nc: 3\n").starts_with("g.yaml:"));
  EXPECT_NE(message("g.yaml", "").find("g.yaml: must be an object"), std::string::npos);
  EXPECT_NE(message("g.yaml", "- a\n").find("a list"), std::string::npos);
  EXPECT_NE(read_document("/nowhere/g.yaml", stdin).error().message.find("/nowhere/g.yaml"),
            std::string::npos);
}

TEST(Document, MistakesOfContentNameTheLine) {
  const Document document = parse_document("group.yaml", kYaml).value();
  EXPECT_EQ(locate(document, "/replicas"), "group.yaml:3");
  EXPECT_EQ(locate(document, "/country_codes/1"), "group.yaml:11");
  // What is missing is reported where it should be.
  EXPECT_EQ(locate(document, "/container/resources/gpu_classes"),
            locate(document, "/container/resources"));
  EXPECT_EQ(locate_mistakes(document,
                            "/replicas must be between 0 and 500; /container/image is bad; and "
                            "ugly; and 2 more"),
            "group.yaml:3: /replicas must be between 0 and 500\n"
            "group.yaml:5: /container/image is bad; and ugly; and 2 more");
  EXPECT_EQ(locate_mistakes(document, "the name is taken"), "the name is taken");
}

TEST(Document, AYamlFileMayHoldSeveral) {
  const char* const text = "name: a\n---\nname: b\nreplicas: -1\n";
  const std::vector<Document> documents = parse_documents("g.yaml", text).value();
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[1].value.at("name"), "b");
  EXPECT_EQ(locate(documents[1], "/replicas"), "g.yaml:4");
  EXPECT_EQ(parse_document("g.yaml", text).error().message,
            "g.yaml:3: a second document; only one can be here");
  EXPECT_EQ(parse_documents("g.yaml", "name: a\n---\n- b\n").error().message,
            "g.yaml:3: must be an object with members such as name and container, not a single "
            "value or a list");
}

TEST(Document, JsonHasLinesToo) {
  const Document document =
      parse_document("g.json", "{\n  \"name\": \"x\",\n  \"replicas\": -1\n}").value();
  EXPECT_EQ(locate(document, "/replicas"), "g.json:3");
}

TEST(Document, MistypedMembersAreNoticed) {
  const Document document =
      parse_document("g.yaml", "name: x\nreplica: 3\ncontainer:\n  enviroment_variables: {A: b}\n")
          .value();
  const std::vector<std::string> lines = unknown_group_members(document);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].starts_with("g.yaml:4: /container/enviroment_variables") ||
              lines[1].starts_with("g.yaml:4: /container/enviroment_variables"));
  EXPECT_TRUE(lines[0].starts_with("g.yaml:2: /replica ") ||
              lines[1].starts_with("g.yaml:2: /replica "));
  EXPECT_TRUE(unknown_group_members(parse_document("group.yaml", kYaml).value()).empty());
}

std::string set(const std::vector<const char*>& assignments) {
  json::object patch;
  for (const char* assignment : assignments) {
    const Result<> applied = apply_set(patch, assignment);
    if (!applied) return applied.error().message;
  }
  return json::serialize(patch);
}

TEST(Set, BuildsMergePatches) {
  EXPECT_EQ(set({"replicas=3"}), R"({"replicas":3})");
  EXPECT_EQ(set({"container.image=nginx:1.27", "container.resources.cpu=2"}),
            R"({"container":{"image":"nginx:1.27","resources":{"cpu":2}}})");
  EXPECT_EQ(set({"country_codes=[\"de\"]", "readiness_probe=null"}),
            R"({"country_codes":["de"],"readiness_probe":null})");
  EXPECT_EQ(set({"display_name=a=b"}), R"({"display_name":"a=b"})");
}

TEST(Set, EnvironmentVariablesAreTextOrNull) {
  EXPECT_EQ(set({"container.environment_variables.N=1"}),
            R"({"container":{"environment_variables":{"N":"1"}}})");
  EXPECT_EQ(set({"container.environment_variables.N=null"}),
            R"({"container":{"environment_variables":{"N":null}}})");
  EXPECT_EQ(set({"container.environment_variables.a\\.b=x"}),
            R"({"container":{"environment_variables":{"a.b":"x"}}})");
}

TEST(Set, RefusesWhatIsNoAssignment) {
  for (const char* text : {"replicas", "=3", "a..b=3", ".a=1", ""}) {
    EXPECT_NE(set({text}).find("PATH=VALUE"), std::string::npos) << text;
  }
}

TEST(Patch, FlagsWinOverTheFile) {
  GroupUpdateOptions options;
  options.sets = {"container.image=b"};
  options.replicas = 4;
  const json::value file =
      parse_json(R"({"replicas":1,"container":{"image":"a","command":["x"]}})").value();
  EXPECT_EQ(json::serialize(build_patch(file, options).value()),
            R"({"replicas":4,"container":{"image":"b","command":["x"]}})");
  EXPECT_FALSE(build_patch(nullptr, {}));
}

}  // namespace
}  // namespace mesclun::client
