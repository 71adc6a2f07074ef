#include "base/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/yaml.h"

namespace mesclun {
namespace {

enum class Color { Red, Green };

struct Inner {
  int32_t cpu = 0;
  std::optional<std::string> note;
};
BOOST_DESCRIBE_STRUCT(Inner, (), (cpu, note))

struct Outer {
  std::string name;
  Inner inner;
  std::vector<Inner> list;
  std::map<std::string, std::string> env;
  Nullable<Color> color;
  Patch<int32_t> replicas;
  std::optional<bool> scaling_on;
};
BOOST_DESCRIBE_STRUCT(Outer, (), (name, inner, list, env, color, replicas, scaling_on))
constexpr std::string_view json_member_name(const Outer*, std::string_view member) {
  return member == "scaling_on" ? "scaling-on" : member;
}

}  // namespace

template <>
struct JsonEnum<Color> {
  static constexpr std::pair<Color, std::string_view> kNames[] = {{Color::Red, "red"},
                                                                  {Color::Green, "green"}};
};

namespace {

TEST(Json, ReadsAndWritesNestedStructs) {
  const std::string text =
      R"({"name":"a","inner":{"cpu":2},"list":[{"cpu":1,"note":"n"}],"env":{"K":"V"},)"
      R"("color":"green","replicas":3,"scaling-on":true})";
  const Outer outer = from_json_text<Outer>(text).value();
  EXPECT_EQ(outer.inner.cpu, 2);
  EXPECT_EQ(outer.list.at(0).note, "n");
  EXPECT_EQ(*outer.color, Color::Green);
  EXPECT_TRUE(outer.replicas.has_value());
  EXPECT_EQ(to_json_text(outer), text);
}

TEST(Json, AbsentNullAndValueAreThreeThings) {
  const Outer absent = from_json_text<Outer>(R"({"name":"a","inner":{"cpu":1}})").value();
  EXPECT_TRUE(absent.replicas.absent());
  const Outer null =
      from_json_text<Outer>(R"({"name":"a","inner":{"cpu":1},"replicas":null,"color":null})")
          .value();
  EXPECT_TRUE(null.replicas.is_null());
  EXPECT_EQ(to_json_text(absent),
            R"({"name":"a","inner":{"cpu":1},"list":[],"env":{},"color":null})");
}

TEST(Json, CollectsEveryProblemWithItsPath) {
  const auto bad = from_json_text<Outer>(
      R"({"inner":{"cpu":"two"},"list":[{"cpu":1},{"cpu":1.5}],"color":"blue","env":{"a/b":1}})");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message,
            "/name is required; /inner/cpu must be an integer, not a string; "
            "/list/1/cpu must be an integer; /env/a~1b must be a string, not a number; "
            "/color must be one of red, green, not 'blue'");
}

TEST(Json, UnknownMembersAndOtherCaseOnRequest) {
  Inner inner;
  JsonProblems strict;
  strict.refuse_unknown_members = true;
  read_json(parse_json(R"({"cpu":1,"gpu":2})").value(), inner, JsonPath{}, strict);
  EXPECT_EQ(strict.summary(), "/gpu is not a known member");
  JsonProblems relaxed;
  relaxed.ignore_member_case = true;
  read_json(parse_json(R"({"CPU":7})").value(), inner, JsonPath{}, relaxed);
  EXPECT_TRUE(relaxed.empty());
  EXPECT_EQ(inner.cpu, 7);
}

TEST(Json, NumbersKeepTheirRange) {
  JsonProblems problems;
  int32_t small = 0;
  read_json(json::value(4'000'000'000), small, JsonPath{}, problems);
  EXPECT_FALSE(problems.empty());
  int64_t large = 0;
  JsonProblems none;
  read_json(json::value(4'000'000'000), large, JsonPath{}, none);
  EXPECT_EQ(large, 4'000'000'000);
}

TEST(Json, MalformedTextIsLocated) {
  EXPECT_EQ(parse_json(R"({"a":})").error().code, ErrorCode::InvalidArgument);
  EXPECT_FALSE(parse_json(""));
  EXPECT_FALSE(parse_json("{} {}"));
  EXPECT_FALSE(parse_json(std::string(100, '[')));
}

TEST(Json, NumbersBeyondADoubleAreRefused) {
  for (const char* text : {"1e999", "[-1e999]", R"({"a":{"b":[1,33444E4444443]}})"}) {
    EXPECT_EQ(parse_json(text).code(), ErrorCode::InvalidArgument) << text;
  }
  EXPECT_TRUE(parse_json("1e308"));
}

TEST(Json, MergePatchFollowsTheRfc) {
  const auto merge = [](const char* target, const char* patch) {
    return json::serialize(merge_patch(parse_json(target).value(), parse_json(patch).value()));
  };
  EXPECT_EQ(merge(R"({"a":"b"})", R"({"a":"c"})"), R"({"a":"c"})");
  EXPECT_EQ(merge(R"({"a":"b","b":"c"})", R"({"a":null})"), R"({"b":"c"})");
  EXPECT_EQ(merge(R"({"a":["b"]})", R"({"a":"c"})"), R"({"a":"c"})");
  EXPECT_EQ(merge(R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})"), R"({"a":{"b":"d"}})");
  EXPECT_EQ(merge(R"({"a":"foo"})", R"("bar")"), R"("bar")");
  EXPECT_EQ(merge(R"({})", R"({"a":{"bb":{"ccc":null}}})"), R"({"a":{"bb":{}}})");
}

TEST(Yaml, KeepsWhatOtherReadersGuess) {
  const YamlDocument document = parse_yaml(
                                    "country: no\nzip: 010\nn: 3\nf: 1.5\nq: \"4\"\nb: true\n"
                                    "list:\n  - a\n  - null\n")
                                    .value();
  EXPECT_EQ(json::serialize(document.value),
            R"({"country":"no","zip":"010","n":3,"f":1.5E0,"q":"4","b":true,"list":["a",null]})");
  EXPECT_EQ(document.lines.at("/list/1"), 9);
}

TEST(Yaml, SeveralDocumentsAreAskedFor) {
  const char* const text = "# first\n---\na: 1\n---\n---\nb: 2\nc: 3\n...\n";
  const std::vector<YamlDocument> documents = parse_yaml_documents(text).value();
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(json::serialize(documents[0].value), R"({"a":1})");
  EXPECT_EQ(documents[1].lines.at("/c"), 7);
  EXPECT_EQ(parse_yaml(text).error().message,
            "line 6, column 1: a second document; only one can be here");
  EXPECT_TRUE(parse_yaml("---\na: 1\n---\n"));
  EXPECT_TRUE(parse_yaml("")->value.is_null());
}

TEST(Yaml, ErrorsNameTheLineAndBombsAreBounded) {
  EXPECT_NE(parse_yaml("a: [1,\nb: }").error().message.find("line 2"), std::string::npos);
  EXPECT_EQ(parse_yaml("a: 1\nb: 2\na: 3\n").error().message,
            "line 3, column 1: 'a' is given twice");
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 8; ++i) {
    bomb += fmt::format("a{}: &a{} [", i, i);
    for (int j = 0; j < 10; ++j) bomb += fmt::format("{}*a{}", j ? "," : "", i - 1);
    bomb += "]\n";
  }
  EXPECT_EQ(parse_yaml(bomb).error().message, "more than 100000 values");
}

}  // namespace
}  // namespace mesclun
