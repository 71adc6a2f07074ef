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

TEST(HopeWatch, GivesUpOnlyWhenTheCloudKeepsSayingNo) {
  const TimePoint start{1h};
  const PlacementView no{.waiting = 1, .may_change = false, .reason = "no node is in jp"};
  const PlacementView busy{.waiting = 1, .may_change = true, .reason = "busy"};
  const PlacementView placed{.waiting = 0, .may_change = false, .reason = ""};
  HopeWatch watch;
  EXPECT_FALSE(watch.gives_up(&no, start));
  EXPECT_FALSE(watch.gives_up(&busy, start + 1s)) << "a node came";
  EXPECT_FALSE(watch.gives_up(&no, start + 2s));
  EXPECT_FALSE(watch.gives_up(&no, start + 1s + kHopelessSettle));
  EXPECT_FALSE(watch.gives_up(nullptr, start + 2s + kHopelessSettle)) << "nobody told";
  EXPECT_FALSE(watch.gives_up(&placed, start + 3s + kHopelessSettle));
  EXPECT_FALSE(watch.gives_up(&no, start + 20s));
  EXPECT_TRUE(watch.gives_up(&no, start + 20s + kHopelessSettle));
}

TEST(GroupCreate, EachDocumentIsAGroup) {
  FakeApi api;
  api.on(path_of("POST", kGroups), {201, group_body("a", "pending", 0)});
  api.on(path_of("POST", kGroups), {201, group_body("b", "pending", 0)});
  const CommandResult result = run_command(group_command, {"create", "-f", "-"},
                                           fake_environment(api), "name: a\n---\nname: b\n");
  EXPECT_EQ(result.status, 0) << result.err;
  ASSERT_EQ(api.seen().size(), 2u);
  EXPECT_EQ(api.seen()[1].body, R"({"name":"b"})");
  EXPECT_HAS(result.out, "NAME       a\n");
  EXPECT_HAS(result.out, "NAME       b\n");
}

TEST(GroupCreate, TheFirstMistakeEndsItAndSaysWhatIsMissing) {
  FakeApi api;
  api.on(path_of("POST", kGroups), {201, group_body("a", "pending", 0)});
  api.on(path_of("POST", kGroups),
         {400, problem_body(400, "invalid_request", "/replicas must be between 0 and 500")});
  const CommandResult result =
      run_command(group_command, {"create", "-f", "-"}, fake_environment(api),
                  "name: a\n---\nname: b\nreplicas: -1\n---\nname: c\n");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(api.seen().size(), 2u);
  EXPECT_HAS(result.out, "NAME       a\n");
  EXPECT_HAS(result.err, "standard input:4: /replicas must be");
  EXPECT_HAS(result.err, "standard input:3 and those after it were not created");
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

TEST(GroupCreate, TakesWhatGetPrints) {
  FakeApi api;
  api.on(path_of("POST", kGroups), {201, group_body("echo-2", "pending", 0)});
  std::string printed = group_body("echo", "running", 2);
  printed.replace(printed.find("\"priority\":null"), 15, "\"priority\":\"low\"");
  const CommandResult result = run_command(group_command, {"create", "-f", "-", "--name", "echo-2"},
                                           fake_environment(api), printed);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.err, "") << "no member is unknown";
  const json::object sent = parse_json(api.seen().front().body).value().get_object();
  EXPECT_EQ(sent.at("name"), "echo-2");
  EXPECT_EQ(sent.at("container").at("priority"), "low");
  EXPECT_EQ(sent.at("networking").at("port"), 8080);
  for (const char* gone : {"id", "version", "current_state", "priority"}) {
    EXPECT_FALSE(sent.contains(gone)) << gone;
  }
}

TEST(GroupScale, SendsTheNumberAlone) {
  FakeApi api;
  api.on(path_of("PATCH", kGroups, "/echo"), {200, group_body("echo", "running", 2)});
  const CommandResult result =
      run_command(group_command, {"scale", "echo", "5"}, fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(api.seen().front().body, R"({"replicas":5})");
}

TEST(GroupRestart, GoesOnWhenTheGroupServesAgain) {
  FakeApi api;
  const std::string third = "3f2c0000-0000-4000-8000-000000000003";
  const auto both = [](const std::string& a, const std::string& b) {
    return FakeAnswer{200, fmt::format(R"({{"instances":[{},{}]}})", instance_body(a, true),
                                       instance_body(b, true))};
  };
  api.on(path_of("GET", kGroups, "/echo/instances"), both(kId, kOtherId));
  api.on(path_of("GET", kGroups, "/echo/instances"), both(kId, kOtherId));  // not ended yet
  api.on(path_of("GET", kGroups, "/echo/instances"), both(third, kOtherId));
  api.on(path_of("GET", kGroups, "/echo"), {200, group_body("echo", "running", 2)});
  for (const char* id : {kId, kOtherId}) {
    api.on(path_of("POST", kGroups, fmt::format("/echo/instances/{}/restart", id)), {202, ""});
  }
  const CommandResult result =
      run_command(group_command, {"restart", "echo", "--timeout", "3s"}, fake_environment(api));
  EXPECT_EQ(result.status, 1) << "the second never ends here";
  EXPECT_HAS(result.err, fmt::format("instance {} was told to restart and has not", kOtherId));
  const CommandResult at_once =
      run_command(group_command, {"restart", "echo", "--at-once"}, fake_environment(api));
  EXPECT_EQ(at_once.status, 0) << at_once.err;
}

TEST(Run, IsAGroupInOneLine) {
  FakeApi api;
  api.on(path_of("POST", kGroups), {201, group_body("echo-2", "pending", 0)});
  const CommandResult result =
      run_command(run_command,
                  {"--no-wait", "--port", "8000", "--gpu", "rtx4090", "--env", "A=b=c", "--restart",
                   "on-failure", "ghcr.io/me/Echo_2:1", "--", "./serve", "--fast"},
                  fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(parse_json(api.seen().front().body).value(), parse_json(R"({
      "name": "echo-2", "replicas": 1, "autostart_policy": true, "restart_policy": "on_failure",
      "container": {"image": "ghcr.io/me/Echo_2:1", "command": ["./serve", "--fast"],
                    "resources": {"cpu": 1, "memory": 1024, "gpu_classes": ["rtx4090"]},
                    "environment_variables": {"A": "b=c"}},
      "networking": {"protocol": "http", "port": 8000, "auth": false}})")
                                                             .value());
  const CommandResult wrong =
      run_command(run_command, {"--env", "A", "image"}, fake_environment(api));
  EXPECT_EQ(wrong.status, 2);
  EXPECT_HAS(wrong.err, "--env 'A': write NAME=VALUE");
}

TEST(GroupWait, SaysWhyAlsoWithoutATerminal) {
  FakeApi api;
  api.on(path_of("POST", kGroups, "/echo/start"), {202, ""});
  std::string waiting = group_body("echo", "deploying", 0);
  const std::string status = R"("status":"deploying")";
  waiting.replace(
      waiting.find(status), status.size(),
      status + R"(,"description":"Waiting for a node: none that takes instances is online.")");
  api.on(path_of("GET", kGroups, "/echo"), {200, waiting});
  api.on(path_of("GET", kExtra, "/echo/events?limit=1"),
         {200, R"j({"items":[{"sequence":4,"time":"2026-01-01T00:00:00Z",)j"
               R"j("event_name":"Instance Exited:1 (Error)","detail":"it moves"}]})j"});
  const CommandResult result = run_command(
      group_command, {"start", "echo", "--wait", "--timeout", "1s"}, fake_environment(api));
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err,
             "echo: deploying: 0 of 2 running, 0 ready. Waiting for a node: none that takes "
             "instances is online. Last: "
             "Instance Exited:1 (Error): it moves\n");
  EXPECT_HAS(result.err, "is not there after 1s (deploying: 0 of 2 running");
}

TEST(GroupCommand, UnknownVerbIsNamedWithTheNearest) {
  FakeApi api;
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_command(group_command, {"lst"}, fake_environment(api)).status, 2);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_HAS(said, "there is no verb 'lst'; did you mean list");
  EXPECT_HAS(said, "Verbs: create, list, get");
  api.on(path_of("GET", kGroups, "/echo"), {200, group_body("echo", "running", 2)});
  EXPECT_EQ(run_command(group_command, {"describe", "echo"}, fake_environment(api)).status, 0);
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
