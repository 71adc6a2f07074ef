#include "cloud/log_query.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/clock.h"

namespace mesclun::cloud {
namespace {

using testing::HasSubstr;

LogEntry entry_of(std::string_view line) {
  LogEntry entry{.time = to_unix_nanos(parse_rfc3339("2026-03-01T12:00:00.5Z").value()),
                 .receive_time = to_unix_nanos(parse_rfc3339("2026-03-01T12:00:01Z").value()),
                 .resource_type = "container",
                 .labels = {{"project_name", "shop"},
                            {"container_group_name", "web"},
                            {"container_group_version", "12"},
                            {"instance_id", "i-1"},
                            {"machine_id", "m-1"}}};
  set_log(entry, line);
  return entry;
}

bool matches(std::string_view query, std::string_view line) {
  const auto parsed = LogQuery::parse(query);
  EXPECT_TRUE(parsed) << query << ": " << (parsed ? "" : parsed.error().message);
  return parsed && parsed->matches(entry_of(line));
}

std::string error_of(std::string_view query) {
  const auto parsed = LogQuery::parse(query);
  return parsed ? "none" : parsed.error().message;
}

constexpr std::string_view kJson =
    R"({"severity":"WARNING","trace_id":"t1","span_id":"s1","msg":"say \"hi\"","n":200,"big":9007199254740993,)"
    R"("http":{"status":503},"http.path":"/a","tags":["x","y"],"ok":true,"none":null,"time":"2020-01-01T00:00:00Z"})";

TEST(LogEntryLine, AnObjectBecomesJsonWithoutWhatHasAPlaceOfItsOwn) {
  const LogEntry entry = entry_of(kJson);
  ASSERT_TRUE(entry.json_log);
  EXPECT_EQ(entry.severity, Severity::Warning);
  EXPECT_EQ(entry.severity_number, 400);
  EXPECT_EQ(entry.trace_id, "t1");
  EXPECT_FALSE(entry.json_log->contains("severity"));
  EXPECT_FALSE(entry.json_log->contains("trace_id"));
  EXPECT_TRUE(entry.json_log->contains("time")) << "times in a line override nothing";
  const json::object out = entry_json(entry);
  EXPECT_EQ(out.at("trace_Id"), "t1");
  EXPECT_EQ(out.at("trace_id"), "t1");
  EXPECT_EQ(out.at("span_Id"), "s1");
  EXPECT_FALSE(out.contains("text_log"));
  EXPECT_EQ(out.at("time"), "2026-03-01T12:00:00.5000000+00:00");
}

TEST(LogEntryLine, WhatCannotBeASeverityStaysInTheObject) {
  const LogEntry entry = entry_of(R"({"severity":"loud","severity_number":"3","trace_id":""})");
  EXPECT_EQ(entry.severity, Severity::Default);
  EXPECT_EQ(entry.severity_number, 0);
  EXPECT_EQ(entry.json_log->size(), 3u);
  EXPECT_EQ(entry_of(R"({"severity_number":17})").severity_number, 17);
}

TEST(LogEntryLine, AnythingElseIsTextOfBoundedLength) {
  for (const char* line : {"plain", "[1,2]", "{broken", "\"text\"", "", "{} and more"}) {
    EXPECT_FALSE(entry_of(line).json_log) << line;
    EXPECT_EQ(entry_of(line).text_log, line);
  }
  std::string emoji;
  for (int i = 0; i < 6000; ++i) emoji += "\xF0\x9F\x98\x80";
  EXPECT_EQ(entry_of(emoji).text_log.size(), 5000u * 4) << "two UTF-16 units each";
  EXPECT_EQ(entry_of(std::string(20'000, 'x')).text_log.size(), kTextLogCharactersMax);
}

TEST(LogQuery, ClausesCompareFields) {
  for (const char* query : {"",
                            "  ",
                            "resource.type=container",
                            "resource.type = \"container\"",
                            "resource.labels.container_group_name = web",
                            "resource.labels.container_group_version > 9",
                            "severity >= \"warning\"",
                            "severity < error",
                            "severity = Warning",
                            "severity_number = 400",
                            "severity startswith war",
                            "trace_id=t1",
                            "span_id != t1",
                            "time >= 2026-03-01T12:00:00Z",
                            "time < 2026-03-01T12:00:01Z",
                            "receive_time = 2026-03-01T12:00:01Z",
                            "time startswith 2026-03",
                            "json_log.n = 200",
                            "json_log.n = \"200\"",
                            "json_log.n < 200.5",
                            "json_log.http.status >= 500",
                            "json_log.http.path = /a",
                            "json_log.\"http.path\" = /a",
                            "json_log.tags.1 = y",
                            "json_log.ok = true",
                            "json_log.none = null",
                            "json_log.big = 9007199254740993",
                            "json_log.msg contains \"\\\"hi\\\"\"",
                            "json_log.time < 2021-01-01T00:00:00Z",
                            "log contains \"say \\\"hi\"",
                            "log contains~ STATUS",
                            "log contains \"\\\"status\\\":503\"",
                            "json_log.tags contains y"}) {
    EXPECT_TRUE(matches(query, kJson)) << query;
    if (std::string_view(query).find_first_not_of(' ') == std::string_view::npos) continue;
    EXPECT_FALSE(matches(fmt::format("not ({})", query), kJson)) << query;
  }
  for (const char* query :
       {"resource.type=Container", "severity > warning", "json_log.big = 9007199254740992",
        "json_log.n = 200.5", "json_log.msg > 3", "json_log.http = 3", "json_log.tags.2 = y",
        "json_log.tags.-1 = y", "log contains nowhere"}) {
    EXPECT_FALSE(matches(query, kJson)) << query;
  }
}

TEST(LogQuery, TextHasTwelveForms) {
  const std::pair<const char*, std::pair<const char*, const char*>> words[] = {
      {"contains", {"ell", "ELL"}}, {"startswith", {"Hel", "hEL"}}, {"endswith", {"llo", "LLO"}}};
  for (const auto& [word, values] : words) {
    const auto holds = [&](const char* before, const char* behind, const char* value) {
      return matches(fmt::format("text_log {}{}{} {}", before, word, behind, value), "Hello");
    };
    EXPECT_TRUE(holds("", "", values.first)) << word;
    EXPECT_FALSE(holds("", "", values.second)) << word;
    EXPECT_FALSE(holds("!", "", values.first)) << word;
    EXPECT_TRUE(holds("!", "", values.second)) << word;
    EXPECT_TRUE(holds("", "~", values.second)) << word;
    EXPECT_FALSE(holds("!", "~", values.second)) << word;
    EXPECT_FALSE(holds("", "", "other")) << word;
  }
  EXPECT_TRUE(matches("text_log =~ hELLO", "Hello"));
  EXPECT_FALSE(matches("text_log !=~ hELLO", "Hello"));
  EXPECT_TRUE(matches("text_log != hELLO", "Hello"));
  EXPECT_FALSE(matches("text_log = \".*\"", "Hello")) << "no regular expressions";
  EXPECT_TRUE(matches("text_log!contains~\"x\"", "Hello"));
}

TEST(LogQuery, AMissingFieldHoldsOnlyWhatIsNegated) {
  for (const char* field :
       {"json_log.a.b", "resource.labels.other", "trace_id", "parent_span_id"}) {
    for (const char* op : {"=", "=~", "contains", "startswith~", "endswith"}) {
      EXPECT_FALSE(matches(fmt::format("{} {} x", field, op), "plain")) << field << op;
      EXPECT_TRUE(matches(fmt::format("{} !{} x", field, op), "plain")) << field << op;
    }
    for (const char* op : {">", "<", ">=", "<="}) {
      EXPECT_FALSE(matches(fmt::format("{} {} 1", field, op), "plain")) << field << op;
    }
  }
  EXPECT_FALSE(matches("text_log contains msg", kJson)) << "JSON has no text_log";
  EXPECT_TRUE(matches("text_log !contains msg", kJson));
}

TEST(LogQuery, NotBindsBeforeAndBeforeOr) {
  EXPECT_TRUE(matches("log contains a or log contains x and log contains y", "a"));
  EXPECT_FALSE(matches("(log contains a or log contains x) and log contains y", "a"));
  EXPECT_TRUE(matches("NOT log contains x And log contains a", "a"));
  EXPECT_FALSE(matches("not (log contains x or log contains a)", "a"));
  EXPECT_TRUE(matches("not not log contains a", "a"));
  EXPECT_TRUE(matches("not(log contains x)and(log contains a)", "a"));
}

TEST(LogQuery, AnErrorSaysWhereAndWhatWasExpected) {
  EXPECT_THAT(error_of("colour = red"), HasSubstr("character 1: expected a field (time,"));
  EXPECT_THAT(error_of("json_log = 1"), HasSubstr("character 9: expected '.'"));
  EXPECT_THAT(error_of("json_log. = 1"), HasSubstr("expected the name of a member"));
  EXPECT_THAT(error_of("text_log"), HasSubstr("character 9: expected an operator"));
  EXPECT_THAT(error_of("text_log like x"), HasSubstr("expected an operator"));
  EXPECT_THAT(error_of("text_log ="), HasSubstr("expected a value, the query ends"));
  EXPECT_THAT(error_of("text_log = \"x"),
              HasSubstr("character 12: the quoted text has no closing"));
  EXPECT_THAT(error_of("text_log = a b"),
              HasSubstr("character 14: expected 'and', 'or' or the end"));
  EXPECT_THAT(error_of("(text_log = a"), HasSubstr("expected 'and', 'or' or ')'"));
  EXPECT_THAT(error_of("text_log = a and"), HasSubstr("expected a field"));
  EXPECT_THAT(error_of("log = a"), HasSubstr("contains, !contains, contains~ or !contains~"));
  EXPECT_THAT(error_of("severity > loud"), HasSubstr("expected default, debug"));
  EXPECT_THAT(error_of("time > yesterday"), HasSubstr("expected a time"));
  EXPECT_THAT(error_of("severity_number = high"), HasSubstr("expected a number"));
  EXPECT_THAT(error_of("json_log.a > x"), HasSubstr("expected a number or a time"));
  EXPECT_THAT(error_of("\xff\x00"), HasSubstr("expected a field"));
}

TEST(LogQuery, WhatItTakesIsBounded) {
  EXPECT_THAT(error_of(std::string(LogQuery::kTextMax + 1, ' ')), HasSubstr("at most 20000"));
  EXPECT_EQ(error_of(std::string(LogQuery::kTextMax, ' ')), "none");
  EXPECT_THAT(error_of(std::string(10'000, '(')), HasSubstr("at most 64 parentheses"));
  std::string nots;
  for (int i = 0; i < 4000; ++i) nots += "not ";
  EXPECT_THAT(error_of(nots + "log contains a"), HasSubstr("at most 64 parentheses"));
  EXPECT_THAT(error_of("log contains " + std::string(3000, 'x')), HasSubstr("at most 2000"));
  std::string path = "json_log.a";
  for (int i = 0; i < 40; ++i) path += ".a";
  EXPECT_THAT(error_of(path + "=1"), HasSubstr("at most 32 names"));
}

}  // namespace
}  // namespace mesclun::cloud
