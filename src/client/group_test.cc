// `mesclun group` against an HTTP server that answers as the contract says.
#include <gtest/gtest.h>

#include "client/fake_answers.h"
#include "client/group_wait.h"

namespace mesclun::client {
namespace {

TEST(GroupCreate, SendsTheFileWaitsUntilEveryReplicaIsReadyAndShowsTheAddress) {
  FakeApi api;
  api.on(path_of("POST", kGroups), {201, group_body("echo", "pending", 0)});
  api.on(path_of("GET", kGroups, "/echo"), {200, group_body("echo", "pending", 0)});
  api.on(path_of("GET", kGroups, "/echo"), {200, group_body("echo", "deploying", 1)});
  api.on(path_of("GET", kGroups, "/echo"), {200, group_body("echo", "running", 2)});
  api.on(path_of("GET", kGroups, "/echo/instances"), {200, instances_body(false)});
  api.on(path_of("GET", kGroups, "/echo/instances"), {200, instances_body(false)});
  api.on(path_of("GET", kGroups, "/echo/instances"), {200, instances_body(true)});
  const CommandResult result = run_command(group_command, {"create", "-f", "-", "--wait"},
                                           fake_environment(api), "name: echo\nreplicas: 2\n");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_HAS(result.out, "NAME       echo");
  EXPECT_HAS(result.out, "http://echo.localhost:8801\n");
  EXPECT_HAS(result.err, "echo: running: 2 of 2 running, 2 ready (after ");
  const SeenRequest create = api.seen().front();
  EXPECT_EQ(create.body, R"({"name":"echo","replicas":2})");
  EXPECT_EQ(create.media_type, "application/json");
  EXPECT_EQ(create.key, "user-key-0123456789");
}

TEST(GroupCreate, JsonOutputIsTheServersDocument) {
  FakeApi api;
  const std::string body = group_body("echo", "pending", 0);
  api.on(path_of("POST", kGroups), {201, body});
  const CommandResult result = run_command(group_command, {"create", "-f", "-", "-o", "json"},
                                           fake_environment(api), R"({"name":"echo"})");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(parse_json(result.out).value(), parse_json(body).value());
  EXPECT_EQ(result.err, "");
}

TEST(GroupCreate, MistakesNameFileAndLine) {
  FakeApi api;
  api.on(path_of("POST", kGroups),
         {400, problem_body(400, "invalid_request",
                            "/replicas must be between 0 and 500; /container is required")});
  const CommandResult result =
      run_command(group_command, {"create", "-f", "-"}, fake_environment(api),
                  "name: echo\nreplicas: 900\nreplica: 3\n");
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "warning: standard input:3: /replica is not a member that the API knows");
  EXPECT_HAS(result.err, "standard input:2: /replicas must be between 0 and 500\n");
  EXPECT_HAS(result.err, "/container is required\n");
  EXPECT_EQ(result.out, "");
}

TEST(GroupCreate, TakenNameSaysToChooseAnother) {
  FakeApi api;
  api.on(path_of("POST", kGroups), {400, problem_body(400, "name_conflict", "taken")});
  const CommandResult result =
      run_command(group_command, {"create", "-f", "-"}, fake_environment(api), "name: echo\n");
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "never used twice");
}

TEST(GroupWait, FailedGroupEndsTheWait) {
  FakeApi api;
  api.on(path_of("POST", kGroups, "/echo/start"), {202, ""});
  api.on(path_of("GET", kGroups, "/echo"), {200, group_body("echo", "failed", 0)});
  const CommandResult result =
      run_command(group_command, {"start", "echo", "--wait"}, fake_environment(api));
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "group 'echo' failed");
  EXPECT_HAS(result.err, "mesclun events echo");
}

TEST(GroupWait, EndsAtItsTimeout) {
  FakeApi api;
  api.on(path_of("POST", kGroups, "/echo/stop"), {202, ""});
  api.on(path_of("GET", kGroups, "/echo"), {200, group_body("echo", "stopped", 1)});
  const CommandResult result = run_command(
      group_command, {"stop", "echo", "--wait", "--timeout", "1s"}, fake_environment(api));
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "is not there after 1s");
}

TEST(GroupWait, DeletionEndsWithTheGroup) {
  FakeApi api;
  api.on(path_of("DELETE", kGroups, "/echo"), {202, ""});
  const CommandResult result =
      run_command(group_command, {"delete", "echo", "--wait", "-o", "json"}, fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(parse_json(result.out).value(),
            parse_json(R"({"accepted":"delete","container_group":"echo"})").value());
}

GroupView group_view(const std::string& status, int running, bool pending_change = false) {
  GroupView group;
  group.replicas = 2;
  group.version = 3;
  group.pending_change = pending_change;
  group.current_state.status = status;
  group.current_state.instance_status_counts.running_count = running;
  return group;
}

TEST(GroupWait, ServingNeedsEveryReplicaReadyInTheNewestVersion) {
  using State = GroupProgress::State;
  InstanceView ready{.state = "running", .version = 3, .ready = true};
  InstanceView old = ready;
  old.version = 2;
  InstanceView unready = ready;
  unready.ready = false;
  const auto judge = [](const GroupView& group, std::vector<InstanceView> instances) {
    return judge_group(group, instances, GroupGoal::Serving).state;
  };
  EXPECT_EQ(judge(group_view("running", 2), {ready, ready}), State::Reached);
  EXPECT_EQ(judge(group_view("running", 2), {ready, old}), State::Waiting);
  EXPECT_EQ(judge(group_view("running", 2), {ready, unready}), State::Waiting);
  EXPECT_EQ(judge(group_view("running", 2, true), {ready, ready}), State::Waiting);
  EXPECT_EQ(judge(group_view("running", 1), {ready}), State::Waiting);
  EXPECT_EQ(judge(group_view("succeeded", 0), {}), State::Reached);
  EXPECT_EQ(judge(group_view("stopped", 0), {}), State::Failed);
  EXPECT_EQ(judge(group_view("failed", 0), {}), State::Failed);
}

TEST(GroupWait, GoalFollowsFromWhatTheGroupIsAbout) {
  GroupView group = group_view("pending", 0);
  EXPECT_EQ(goal_after_change(group), GroupGoal::Prepared);
  group.autostart_policy = true;
  EXPECT_EQ(goal_after_change(group), GroupGoal::Serving);
  EXPECT_EQ(goal_after_change(group_view("running", 1)), GroupGoal::Serving);
  EXPECT_EQ(goal_after_change(group_view("stopped", 0)), GroupGoal::Prepared);
}

TEST(GroupList, ShowsEveryGroup) {
  FakeApi api;
  api.on(path_of("GET", kGroups), {200, R"({"items":[)" + group_body("echo", "running", 2) + "," +
                                            group_body("web", "stopped", 0, true) + "]}"});
  const CommandResult result = run_command(group_command, {"list"}, fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_HAS(result.out, "NAME  STATUS");
  EXPECT_HAS(result.out, "echo  running   2/2");
  EXPECT_HAS(result.out, "web   stopped*  0/2");
}

TEST(GroupList, EmptyListPrintsNothingOnStandardOutput) {
  FakeApi api;
  api.on(path_of("GET", kGroups), {200, R"({"items":[]})"});
  const CommandResult result = run_command(group_command, {"list"}, fake_environment(api));
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_HAS(result.err, "mesclun group create");
}

TEST(GroupGet, UnknownNameSuggestsNearOnes) {
  FakeApi api;
  api.on(path_of("GET", kGroups), {200, R"({"items":[)" + group_body("echo", "running", 2) + "," +
                                            group_body("something", "running", 2) + "]}"});
  const CommandResult result = run_command(group_command, {"get", "ecco"}, fake_environment(api));
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "Did you mean echo?");
}

TEST(GroupGet, UnknownProjectSaysWhereItWasLookedFor) {
  FakeApi api;
  const CommandResult result = run_command(group_command, {"get", "echo"}, fake_environment(api));
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "organization 'acme' (from MESCLUN_ORGANIZATION), project 'demo'");
}

TEST(GroupUpdate, SendsAMergePatch) {
  FakeApi api;
  api.on(path_of("PATCH", kGroups, "/echo"), {200, group_body("echo", "running", 2)});
  const CommandResult result =
      run_command(group_command,
                  {"update", "echo", "--replicas", "3", "--set", "container.image=img:2", "--set",
                   "liveness_probe=null"},
                  fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(api.seen()[0].media_type, "application/merge-patch+json");
  EXPECT_EQ(api.seen()[0].body,
            R"({"container":{"image":"img:2"},"liveness_probe":null,"replicas":3})");
}

TEST(GroupUpdate, NothingToChangeIsWrongUsage) {
  FakeApi api;
  EXPECT_EQ(run_command(group_command, {"update", "echo"}, fake_environment(api)).status, 2);
  EXPECT_EQ(
      run_command(group_command, {"update", "echo", "--set", "x"}, fake_environment(api)).status,
      2);
  EXPECT_TRUE(api.seen().empty());
}

}  // namespace
}  // namespace mesclun::client
