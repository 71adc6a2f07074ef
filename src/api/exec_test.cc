#include "api/exec.h"

#include <gtest/gtest.h>

#include <csignal>

namespace mesclun::api {
namespace {

TEST(ExecControl, IsReadAsItIsWrittenAndNothingElseIsTaken) {
  EXPECT_EQ(write_exec_control({.resize = ExecResize{.rows = 40, .columns = 120}}),
            R"({"resize":{"rows":40,"columns":120}})");
  EXPECT_EQ(write_exec_control({.exit = ExecExit{.code = 0, .detail = {}}}),
            R"({"exit":{"code":0}})");
  const auto signal = read_exec_control(R"({"signal": "SIGINT", "later": 1})");
  ASSERT_TRUE(signal);
  EXPECT_EQ(signal->signal, "SIGINT");
  EXPECT_TRUE(read_exec_control(R"({"pause": false})")->pause.has_value());
  for (const char* wrong : {"", "{", "[]", "7", R"({"signal": "NO"})", R"({"signal": 2})",
                            R"({"resize": {"rows": 0, "columns": 80}})",
                            R"({"resize": {"rows": 10, "columns": 10001}})",
                            R"({"resize": {"rows": 10}})", R"({"eof": "yes"})"}) {
    EXPECT_EQ(read_exec_control(wrong).code(), ErrorCode::InvalidArgument) << wrong;
  }
}

TEST(ExecControl, SignalsHaveNames) {
  EXPECT_EQ(signal_number("INT"), SIGINT);
  EXPECT_EQ(signal_number("SIGTERM"), SIGTERM);
  EXPECT_FALSE(signal_number("int"));
  EXPECT_FALSE(signal_number(""));
  EXPECT_FALSE(signal_number("SEGV2"));
}

}  // namespace
}  // namespace mesclun::api
