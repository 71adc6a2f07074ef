#include "client/output.h"

#include <gtest/gtest.h>

namespace mesclun::client {
namespace {

TEST(Table, AlignsByWhatAPersonSees) {
  Table table({"NAME", "STATE"});
  table.add({"a", "running"});
  table.add({"grüße", "stopped"});
  table.add({"日本", "failed"});
  EXPECT_EQ(table.render(),
            "NAME   STATE\n"
            "a      running\n"
            "grüße  stopped\n"
            "日本   failed\n");
}

TEST(Table, LeavesNoSpacesAtTheEndOfALine) {
  Table table({"A", "B", "C"});
  table.add({"1"});
  table.add({"1", "", "3", "dropped"});
  EXPECT_EQ(table.render(), "A  B  C\n1\n1     3\n");
}

TEST(Printable, ForeignTextCannotMoveTheCursor) {
  EXPECT_EQ(printable("a\x1b[2Jb\n\tc"), "a\xEF\xBF\xBD[2Jb\xEF\xBF\xBD\tc");
  EXPECT_EQ(printable("\x1b[31mred\x1b[0m\x1b[2J", true), "\x1b[31mred\x1b[0m\xEF\xBF\xBD[2J");
  EXPECT_EQ(printable("\x1b[31mred"), "\xEF\xBF\xBD[31mred");
  EXPECT_EQ(printable("right\u202Eleft"), "right\xEF\xBF\xBDleft");
}

TEST(Printable, BrokenUtf8IsReplacedByteByByte) {
  EXPECT_EQ(printable("a\xC3"), "a\xEF\xBF\xBD");
  EXPECT_EQ(printable("\xE2\x82z"), "\xEF\xBF\xBD\xEF\xBF\xBDz");
  EXPECT_EQ(printable("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");  // overlong
  EXPECT_EQ(printable("\xED\xA0\x80").size(), 9u);               // a surrogate
  EXPECT_EQ(printable("\xF4\x90\x80\x80").size(), 12u);          // beyond Unicode
  EXPECT_EQ(printable("ü€😀"), "ü€😀");
}

TEST(DisplayWidth, CountsColumns) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("ü"), 1u);
  EXPECT_EQ(display_width("u\u0308"), 1u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("😀"), 2u);
  EXPECT_EQ(display_width("\xFF"), 1u);
}

TEST(Fields, LeaveOutWhatIsEmpty) {
  EXPECT_EQ(render_fields({{"NAME", "echo"}, {"ADDRESS", ""}, {"ID", "7"}}),
            "NAME  echo\nID    7\n");
}

TEST(PrettyJson, KeepsOrderAndReadsBack) {
  const json::value value =
      parse_json(R"({"b":[1,{"x":null}],"a":"é\n","empty":{},"none":[]})").value();
  const std::string text = pretty_json(value);
  EXPECT_EQ(text,
            "{\n  \"b\": [\n    1,\n    {\n      \"x\": null\n    }\n  ],\n  \"a\": \"é\\n\",\n"
            "  \"empty\": {},\n  \"none\": []\n}\n");
  EXPECT_EQ(parse_json(text).value(), value);
}

TEST(Age, IsRoundedToWhatMatters) {
  const WallTime now = parse_rfc3339("2026-03-02T00:00:00Z").value();
  EXPECT_EQ(age("2026-03-01T23:59:48.5+00:00", now), "12s");
  EXPECT_EQ(age("2026-03-01T23:30:00Z", now), "30m");
  EXPECT_EQ(age("2026-03-01T12:00:00+01:00", now), "13h");
  EXPECT_EQ(age("2026-02-20T00:00:00Z", now), "10d");
  EXPECT_EQ(age("2026-03-02T00:00:05Z", now), "0s");  // another machine's clock
  EXPECT_EQ(age("", now), "");
}

TEST(ShortTime, IsUtcToTheSecond) {
  EXPECT_EQ(short_time("2026-01-02T03:04:05.1234567+01:00"), "2026-01-02T02:04:05Z");
  EXPECT_EQ(short_time("soon"), "soon");
}

TEST(Progress, MovesForPeopleAndSaysOneWordToLogs) {
  for (const bool terminal : {true, false}) {
    char* data = nullptr;
    size_t size = 0;
    Console console;
    console.err = ::open_memstream(&data, &size);
    console.err_is_terminal = terminal;
    {
      Progress progress(console);
      progress.update("1 of 3");
      progress.update("1 of 3");
      progress.update("2 of 3");
      progress.done("3 of 3");
    }
    std::fclose(console.err);
    const std::string text(data, size);
    std::free(data);
    EXPECT_EQ(text, terminal ? "\r\x1b[K1 of 3\r\x1b[K2 of 3\r\x1b[K3 of 3\n" : "3 of 3\n");
  }
}

}  // namespace
}  // namespace mesclun::client
