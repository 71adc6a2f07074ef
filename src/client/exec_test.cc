#include <gtest/gtest.h>

#include "client/exec_verbs.h"
#include "client/fake_answers.h"
#include "client/fake_api.h"

namespace mesclun::client {
namespace {

StatsView view(std::string group, std::string id, std::string machine,
               std::string state = "running") {
  StatsView out;
  out.container_group_name = std::move(group);
  out.instance_id = std::move(id);
  out.machine_id = std::move(machine);
  out.state = std::move(state);
  return out;
}

TEST(ExecTarget, IsAGroupWithOneInstanceOrTheBeginningOfAnId) {
  const std::vector<StatsView> all = {
      view("one", "aaaa1111", "d000"),  view("one", "aaaa9999", "d001", "creating"),
      view("two", "bbbb1111", "d002"),  view("two", "bbbb2222", "d003"),
      view("aaaa", "cccc1111", "e000"), view("none", "ffff", "e001", "creating"),
  };
  EXPECT_EQ(choose_exec_target(all, "one")->instance_id, "aaaa1111");
  EXPECT_EQ(choose_exec_target(all, "BBBB2")->instance_id, "bbbb2222");
  EXPECT_EQ(choose_exec_target(all, "bbbb2")->group, "two");
  EXPECT_EQ(choose_exec_target(all, "d003")->instance_id, "bbbb2222");
  EXPECT_EQ(choose_exec_target(all, "aaaa")->instance_id, "cccc1111") << "a group's name is one";
  const auto several = choose_exec_target(all, "two");
  ASSERT_EQ(several.code(), ErrorCode::InvalidArgument);
  EXPECT_NE(several.error().message.find("bbbb2222  two"), std::string::npos);
  EXPECT_EQ(choose_exec_target(all, "bbbb").code(), ErrorCode::InvalidArgument);
  EXPECT_EQ(choose_exec_target(all, "none").code(), ErrorCode::NotFound);
  EXPECT_EQ(choose_exec_target(all, "x").code(), ErrorCode::NotFound);
  EXPECT_EQ(choose_exec_target(all, "").code(), ErrorCode::NotFound);
}

TEST(ExecCommand, WhatWeCannotDoHasAStatusOfItsOwn) {
  FakeApi api;
  api.on("GET /api/mesclun/organizations/acme/projects/demo/stats", {200, R"({"items":[]})"});
  const auto environment = fake_environment(api);
  const CommandResult unknown = run_command(exec_command, {"nobody", "--", "true"}, environment);
  EXPECT_EQ(unknown.status, 255);
  EXPECT_NE(unknown.err.find("mesclun stats --once"), std::string::npos) << unknown.err;
  EXPECT_EQ(run_command(exec_command, {"nobody"}, environment).status, 2);
  EXPECT_EQ(run_command(exec_command, {"-it", "nobody", "--", "sh"}, environment).status, 2);
  EXPECT_EQ(run_command(exec_command, {}, environment).status, 2);
}

}  // namespace
}  // namespace mesclun::client
