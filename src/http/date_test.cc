#include "http/date.h"

#include <gtest/gtest.h>

namespace mesclun {
namespace {

TEST(HttpDate, AllThreeForms) {
  for (const char* text : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994"}) {
    const auto time = parse_http_date(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(to_unix_seconds(*time), 784'111'777) << text;
  }
}

TEST(HttpDate, NothingElse) {
  for (const char* text : {"", "120", "Sun, 06 Nov 1994 08:49:37 CET", "1994-11-06T08:49:37Z",
                           "Sun, 06 Nov 1994 08:49:37 GMT, x"}) {
    EXPECT_FALSE(parse_http_date(text)) << text;
  }
}

}  // namespace
}  // namespace mesclun
