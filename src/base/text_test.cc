#include "base/text.h"

#include <gtest/gtest.h>

#include "base/integer.h"

namespace mesclun {

TEST(Text, TrimsBlanksAndLineEnds) {
  EXPECT_EQ(trim_blanks(" \t a b\t "), "a b");
  EXPECT_EQ(trim_blanks("a\r"), "a\r");
  EXPECT_EQ(trim_blanks(" \t"), "");
  EXPECT_EQ(trim_line(" a b \r"), "a b");
  EXPECT_EQ(trim_line("\r"), "");
}

TEST(Split, LeavesOutWhatIsEmpty) {
  EXPECT_EQ(split(",a,,b c,", ','), (std::vector<std::string_view>{"a", "b c"}));
  EXPECT_TRUE(split("", ',').empty());
}

TEST(Text, ReadsCharactersOfEveryLength) {
  const auto same = [](CodePoint point, char32_t value, size_t bytes) {
    return point.value == value && point.bytes == bytes;
  };
  EXPECT_TRUE(same(first_code_point("a"), U'a', 1));
  EXPECT_TRUE(same(first_code_point("\xc3\xa9x"), 0xE9, 2));
  EXPECT_TRUE(same(first_code_point("\xe2\x82\xac"), 0x20AC, 3));
  EXPECT_TRUE(same(first_code_point("\xf4\x8f\xbf\xbf"), 0x10FFFF, 4));
}

TEST(Text, RefusesWhatIsNoCharacter) {
  for (const char* text :
       {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82z"}) {
    EXPECT_EQ(first_code_point(text).bytes, 0u) << text;
    EXPECT_FALSE(is_utf8(text));
  }
  EXPECT_TRUE(is_utf8("\xe2\x82\xac \xf0\x9f\x98\x80"));
}

TEST(Text, GarbageBecomesReplacementCharacters) {
  EXPECT_EQ(valid_utf8("plain"), "plain");
  EXPECT_EQ(valid_utf8("\xff"
                       "a"),
            "\xef\xbf\xbd"
            "a");
  EXPECT_EQ(valid_utf8(std::string_view("a\0b", 3)),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(valid_utf8("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
  EXPECT_EQ(valid_utf8("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(valid_utf8("\xc3"), "\xef\xbf\xbd");
  EXPECT_EQ(valid_utf8("\xc0\x80"), "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Text, CutsAtACharacter) {
  EXPECT_EQ(valid_utf8("ab\xe2\x82\xac", 5), "ab\xe2\x82\xac");
  EXPECT_EQ(valid_utf8("ab\xe2\x82\xac", 4), "ab");
  EXPECT_EQ(valid_utf8("\xff\xff", 5), "\xef\xbf\xbd");
}

TEST(Integer, IsTheWholeText) {
  EXPECT_EQ(parse_integer<int64_t>("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(parse_integer<uint16_t>("65535"), 65535);
  for (const char* text : {"", " 1", "1 ", "+1", "1.0", "0x1", "65536", "-1"}) {
    EXPECT_FALSE(parse_integer<uint16_t>(text)) << text;
  }
}

}  // namespace mesclun
