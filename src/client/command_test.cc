// Every command against an HTTP server that answers as the contract says.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "client/fake_api.h"
#include "client/group_wait.h"
#include "client/operator_verbs.h"
#include "client/stream_verbs.h"

namespace mesclun::client {
namespace {

constexpr const char* kGroups = "/api/public/organizations/acme/projects/demo/containers";
constexpr const char* kExtra = "/api/mesclun/organizations/acme/projects/demo/containers";
constexpr const char* kId = "3f2a0000-0000-4000-8000-000000000001";
constexpr const char* kOtherId = "3f2b0000-0000-4000-8000-000000000002";

std::string group_body(const std::string& name, const std::string& status, int running,
                       bool pending_change = false, bool autostart = true) {
  return fmt::format(
      R"({{"id":"00000000-0000-4000-8000-000000000009","name":"{}","display_name":"{}",)"
      R"("organization_name":"acme","project_name":"demo","container":{{"image":"img:1",)"
      R"("command":[],"resources":{{"cpu":1,"memory":1024,"gpu_classes":[]}}}},)"
      R"("autostart_policy":{},"restart_policy":"always","replicas":2,"country_codes":[],)"
      R"("priority":null,"networking":{{"auth":false,"port":8080,"protocol":"http",)"
      R"("load_balancer":"round_robin","dns":"{}.localhost"}},"pending_change":{},"version":1,)"
      R"("create_time":"2026-01-01T00:00:00.0000000+00:00",)"
      R"("update_time":"2026-01-01T00:00:00.0000000+00:00","scaling-actions":[],)"
      R"("scheduled-scaling-enabled":false,"current_state":{{"status":"{}",)"
      R"("start_time":"2026-01-01T00:00:00Z","finish_time":"2026-01-01T00:00:00Z",)"
      R"("instance_status_counts":{{"allocating_count":0,"creating_count":0,)"
      R"("running_count":{},"stopping_count":0}}}}}})",
      name, name, autostart, name, pending_change, status, running);
}

std::string instance_body(const std::string& id, bool ready) {
  return fmt::format(R"({{"id":"{}","machine_id":"aaaa0000-0000-4000-8000-00000000000a",)"
                     R"("state":"running","update_time":"2026-01-01T00:00:00Z","version":1,)"
                     R"("ready":{},"started":true,"deletion_cost":0}})",
                     id, ready);
}

std::string instances_body(bool ready) {
  return fmt::format(R"({{"instances":[{},{}]}})", instance_body(kId, true),
                     instance_body(kOtherId, ready));
}

std::string path_of(const char* method, const char* prefix, const std::string& rest = "") {
  return std::string(method) + " " + prefix + rest;
}

std::string problem_body(int status, const std::string& type, const std::string& detail) {
  return fmt::format(R"({{"type":"{}","title":"t","status":{},"detail":"{}"}})", type, status,
                     detail);
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

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

TEST(Usage, WrongWordsEndWithTwo) {
  FakeApi api;
  testing::internal::CaptureStderr();
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"nonsense"},
                                             {"create"},
                                             {"get"},
                                             {"list", "--nonsense"},
                                             {"list", "-o", "xml"},
                                             {"update", "echo", "--replicas", "501"},
                                             {"stop", "echo", "--timeout", "5"}}) {
    EXPECT_EQ(run_command(group_command, words, fake_environment(api)).status, 2);
  }
  EXPECT_HAS(testing::internal::GetCapturedStderr(), "--help");
  EXPECT_TRUE(api.seen().empty());
}

TEST(Usage, HelpHasExamplesAndExitStatus) {
  for (const Command command : {&group_command, &instance_command, &logs_command, &events_command,
                                &node_command, &org_command, &project_command, &key_command}) {
    testing::internal::CaptureStdout();
    EXPECT_EQ(run_command(command, {"--help"}, {}).status, 0);
    const std::string help = testing::internal::GetCapturedStdout();
    EXPECT_HAS(help, "Examples:\n");
    EXPECT_HAS(help, "Exit status: 0 done");
    EXPECT_HAS(help, "MESCLUN_API");
  }
}

TEST(Errors, UnreachableCloudAsksForUp) {
  std::map<std::string, std::string> variables;
  {
    const FakeApi gone;
    variables = fake_environment(gone);
  }
  const CommandResult result = run_command(group_command, {"list"}, variables);
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "cannot connect to 127.0.0.1:");
  EXPECT_HAS(result.err, "Is `mesclun up` running at " + variables["MESCLUN_API"]);
  EXPECT_HAS(result.err, "from MESCLUN_API");
}

TEST(Errors, RefusedKeyIsNamedWithItsSource) {
  FakeApi api;
  api.on(path_of("GET", kGroups), {401, problem_body(401, "unauthorized", "unknown key")});
  const CommandResult result = run_command(
      group_command, {"list", "--api-key", "flag-key-0123456789"}, fake_environment(api));
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "unknown key");
  EXPECT_HAS(result.err, "flag-k…6789, from --api-key");
  EXPECT_EQ(result.err.find("flag-key-0123456789"), std::string::npos);
}

TEST(Errors, NoContextSaysToRunUp) {
  const CommandResult result =
      run_command(group_command, {"list"}, {{"MESCLUN_CONTEXT", "/nowhere/context.json"}});
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "mesclun up");
  EXPECT_HAS(result.err, "--api");
}

TEST(Errors, TlsAndNonsenseAddressesAreExplained) {
  std::map<std::string, std::string> variables = {{"MESCLUN_API_KEY", "k"},
                                                  {"MESCLUN_ORGANIZATION", "o"},
                                                  {"MESCLUN_PROJECT", "p"},
                                                  {"MESCLUN_API", "https://cloud.example"}};
  EXPECT_HAS(run_command(group_command, {"list"}, variables).err, "plain HTTP only");
  variables["MESCLUN_API"] = "::bad::";
  EXPECT_HAS(run_command(group_command, {"list"}, variables).err, "from MESCLUN_API");
}

TEST(Errors, OtherServersAreNotMistakenForTheApi) {
  FakeApi api;
  api.on(path_of("GET", kGroups), {200, "<html>"});
  EXPECT_HAS(run_command(group_command, {"list"}, fake_environment(api)).err,
             "is the address right?");
}

TEST(RateLimit, IsWaitedOutWithANote) {
  FakeApi api;
  api.on(path_of("GET", kGroups), {429, problem_body(429, "rate_limited", "slow down"), "1"});
  api.on(path_of("GET", kGroups), {200, R"({"items":[]})"});
  const CommandResult result = run_command(group_command, {"list"}, fake_environment(api));
  EXPECT_EQ(result.status, 0);
  EXPECT_HAS(result.err, "too many requests: trying again in 1s");
}

TEST(RateLimit, WaitIsBounded) {
  FakeApi api;
  api.on(path_of("GET", kGroups), {429, problem_body(429, "rate_limited", "slow down"), "90"});
  const CommandResult result =
      run_command(group_command, {"list", "--rate-limit-wait", "5s"}, fake_environment(api));
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "slow down");
  EXPECT_HAS(result.err, "--rate-limit-wait");
  EXPECT_EQ(api.seen().size(), 1u);
}

TEST(Instances, AreListedAndFoundByABeginning) {
  FakeApi api;
  api.on(path_of("GET", kGroups, "/echo/instances"), {200, instances_body(false)});
  api.on(path_of("POST", kGroups, std::string("/echo/instances/") + kOtherId + "/restart"),
         {202, ""});
  const CommandResult list = run_command(instance_command, {"list", "echo"}, fake_environment(api));
  EXPECT_EQ(list.status, 0) << list.err;
  EXPECT_HAS(list.out, std::string(kId) + "  aaaa0000-0000-4000-8000-00000000000a  running  yes");
  const CommandResult restart =
      run_command(instance_command, {"restart", "echo", "3F2B"}, fake_environment(api));
  EXPECT_EQ(restart.status, 0) << restart.err;
  EXPECT_HAS(restart.out, std::string(kOtherId) + ": restart accepted");
  EXPECT_HAS(run_command(instance_command, {"restart", "echo", "3f2"}, fake_environment(api)).err,
             "2 instances");
  EXPECT_HAS(run_command(instance_command, {"get", "echo", "77"}, fake_environment(api)).err,
             "mesclun instance list echo");
}

TEST(Instances, DeletionCostIsPatched) {
  FakeApi api;
  const std::string path = std::string("/echo/instances/") + kId;
  api.on(path_of("PATCH", kGroups, path), {200, instance_body(kId, true)});
  const CommandResult result =
      run_command(instance_command, {"set-deletion-cost", "echo", kId, "50", "-o", "json"},
                  fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(api.seen()[0].body, R"({"deletion_cost":50})");
  EXPECT_EQ(parse_json(result.out).value(), parse_json(instance_body(kId, true)).value());
}

std::string log_item(int sequence, const std::string& text) {
  return fmt::format(R"({{"sequence":{},"time":"2026-01-01T00:00:0{}Z","receive_time":)"
                     R"("2026-01-01T00:00:00Z","stream":"stdout","text":"{}","instance_id":"{}",)"
                     R"("machine_id":"m","version":1}})",
                     sequence, sequence, text, kId);
}

TEST(Logs, ShowTheNewestLines) {
  FakeApi api;
  api.on(path_of("GET", kExtra, "/echo/logs?limit=2"),
         {200, R"({"items":[)" + log_item(1, "one") + "," + log_item(2, "two") + "]}"});
  const CommandResult result =
      run_command(logs_command, {"echo", "--tail", "2"}, fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out,
            "2026-01-01T00:00:01Z  3f2a0000  one\n2026-01-01T00:00:02Z  3f2a0000  two\n");
}

TEST(Logs, FollowGoesOnAfterTheLastSequenceUntilTheGroupIsDeleted) {
  FakeApi api;
  api.on(path_of("GET", kExtra, "/echo/logs?limit=100"),
         {200, R"({"items":[)" + log_item(1, "one") + "]}"});
  const std::string next = path_of("GET", kExtra, "/echo/logs?limit=1000&after=1&wait=15");
  api.on(next, {200, R"({"items":[]})"});
  api.on(next, {503, problem_body(503, "unavailable", "starting")});
  api.on(next, {200, R"({"items":[)" + log_item(2, "two") + "," + log_item(3, "three") + "]}"});
  api.on(path_of("GET", kExtra, "/echo/logs?limit=1000&after=3&wait=15"),
         {404, problem_body(404, "not_found", "gone")});
  const CommandResult result =
      run_command(logs_command, {"echo", "-f", "-o", "json"}, fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out,
            log_item(1, "one") + "\n" + log_item(2, "two") + "\n" + log_item(3, "three") + "\n");
  EXPECT_HAS(result.err, "starting; trying again");
  EXPECT_HAS(result.err, "group 'echo' was deleted");
}

TEST(Logs, CtrlCLeavesQuietly) {
  FakeApi api;
  api.on(path_of("GET", kExtra, "/echo/events?limit=100"), {200, R"({"items":[]})"});
  // With a timeout of 1 s the server is not asked to wait, so our own pauses are interrupted.
  const std::string next = path_of("GET", kExtra, "/echo/events?limit=1000&after=0");
  api.on(next, {200, R"({"items":[]})"});
  std::thread interrupter([&] {
    EXPECT_TRUE(api.wait_for(next, 1));
    ::raise(SIGINT);
  });
  const CommandResult result =
      run_command(events_command, {"echo", "-f", "--request-timeout", "1s"}, fake_environment(api));
  interrupter.join();
  EXPECT_EQ(result.status, 130);
  EXPECT_EQ(result.out + result.err, "");
}

TEST(Events, SayWhatHappenedWhereAndWhy) {
  FakeApi api;
  api.on(path_of("GET", kExtra, "/echo/events?limit=100"),
         {200, R"({"items":[{"sequence":1,"time":"2026-01-01T00:00:00Z","resource_type":)"
               R"("deployment_controller","event_name":"Container Group Started","detail":""},)"
               R"({"sequence":2,"time":"2026-01-01T00:00:01Z","resource_type":)"
               R"j("instance_controller","event_name":"Instance Exited:1 (Error)","detail":)j"
               R"("machine m is left out for 48 h","instance_id":"3f2a0000-x"}]})"});
  const CommandResult result = run_command(events_command, {"echo"}, fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out,
            "2026-01-01T00:00:00Z            Container Group Started\n"
            "2026-01-01T00:00:01Z  3f2a0000  Instance Exited:1 (Error): machine m is left out for "
            "48 h\n");
}

TEST(LogLine, ColoursAreKeptForPeopleAndEndWithTheLine) {
  const LogLineView line{.time = "t", .text = "\x1b[31mred\x1b[2J"};
  EXPECT_EQ(format_log_line(line, true), "t            \x1b[31mred\xEF\xBF\xBD[2J\x1b[0m");
  EXPECT_EQ(format_log_line(line, false), "t            \x1b[31mred\x1b[2J");
}

TEST(Nodes, ShowWhatTheyHaveAndWhatRuns) {
  FakeApi api;
  api.on("GET /api/operator/nodes",
         {200, R"({"items":[{"machine_id":"aaaa0000-0000-4000-8000-00000000000a","hostname":"pc1",)"
               R"("state":"online","mode":"paused","country":"de","cpu":8,"memory_mb":16384,)"
               R"("storage_mb":1000,"cpu_used":3,"memory_used_mb":3072,"gpus":[{"class_id":"x",)"
               R"j("name":"RTX 4090 (24 GB)","pretended":true}],"cpu_share_percent":50,)j"
               R"("runtime":"process","warnings":["no cgroups"],"last_heard_time":)"
               R"("2026-01-01T00:00:00Z","instances":[)"
               R"({"organization_name":"acme","project_name":"demo","container_group_name":"echo",)"
               R"("instance_id":"i1","state":"running","ready":true},)"
               R"({"organization_name":"acme","project_name":"demo","container_group_name":"echo",)"
               R"("instance_id":"i2","state":"running","ready":true},)"
               R"({"organization_name":"acme","project_name":"demo","container_group_name":"web",)"
               R"("instance_id":"i3","state":"creating","ready":false}]}]})"});
  const CommandResult result = run_command(node_command, {"list"}, fake_environment(api));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_HAS(result.out,
             "pc1   aaaa0000-0000-4000-8000-00000000000a  online, paused  de       "
             "3/8  3072/16384  RTX 4090 (24 GB) (pretended)");
  EXPECT_HAS(result.out, "echo x2, web (creating)\n");
  EXPECT_HAS(result.err, "warning: pc1: no cgroups");
  EXPECT_EQ(api.seen()[0].key, "operator-key-0123456789");
}

constexpr const char* kNamed =
    R"({"id":"i","name":"acme","display_name":"Acme","create_time":"2026-01-01T00:00:00Z"})";

TEST(Operator, OrganizationsProjectsAndQuotas) {
  FakeApi api;
  const auto environment = fake_environment(api);
  api.on("POST /api/operator/organizations", {201, kNamed});
  api.on("GET /api/operator/organizations", {200, fmt::format(R"({{"items":[{}]}})", kNamed)});
  api.on("POST /api/operator/organizations/acme/projects", {201, kNamed});
  api.on("PATCH /api/operator/organizations/acme/quotas",
         {200, R"({"container_groups_quotas":{"container_replicas_quota":200,)"
               R"("container_replicas_used":3}})"});
  const CommandResult created =
      run_command(org_command, {"create", "acme", "--display-name", "Acme"}, environment);
  EXPECT_EQ(created.status, 0) << created.err;
  EXPECT_EQ(api.seen().back().body, R"({"name":"acme","display_name":"Acme"})");
  EXPECT_HAS(run_command(org_command, {"list"}, environment).out, "acme  i");
  EXPECT_EQ(run_command(project_command, {"create", "demo"}, environment).status, 0);
  EXPECT_EQ(api.seen().back().body, R"({"name":"demo"})");
  const CommandResult quota =
      run_command(org_command, {"quota", "acme", "--replicas", "200"}, environment);
  EXPECT_EQ(api.seen().back().body, R"({"container_replicas_quota":200})");
  EXPECT_HAS(quota.out, "3 used of 200");
}

TEST(Operator, KeysAreShownOnce) {
  FakeApi api;
  const auto environment = fake_environment(api);
  api.on("POST /api/operator/keys",
         {201, R"({"id":"k1","user":"mia","organizations":["acme","demo"],"create_time":)"
               R"("2026-01-01T00:00:00Z","key":"salad_cloud_user_x"})"});
  api.on("DELETE /api/operator/keys/k1", {204, ""});
  const CommandResult created = run_command(
      key_command, {"create", "--user", "mia", "--organization", "acme", "--organization", "demo"},
      environment);
  EXPECT_EQ(created.status, 0) << created.err;
  EXPECT_EQ(api.seen()[0].body, R"({"user":"mia","organizations":["acme","demo"]})");
  EXPECT_HAS(created.out, "salad_cloud_user_x");
  EXPECT_HAS(created.err, "only now");
  EXPECT_EQ(run_command(key_command, {"delete", "k1"}, environment).out, "k1: deleted\n");
}

TEST(Operator, MissingKeyIsSaid) {
  FakeApi api;
  auto environment = fake_environment(api);
  environment.erase("MESCLUN_OPERATOR_KEY");
  EXPECT_HAS(run_command(node_command, {"list"}, environment).err, "--operator-key");
}

TEST(NearNames, AreTheNearestFirst) {
  EXPECT_EQ(near_names("ecco", {"web", "echo-2", "echo"}), "echo");
  EXPECT_EQ(near_names("echo", {"my-echo", "echoo", "zzz"}), "echoo, my-echo");
  EXPECT_EQ(near_names("abc", {"uvwxyz"}), "");
}

TEST(Segments, CannotLeaveTheirPlaceInThePath) {
  EXPECT_EQ(encode_segment("a/../b?c#d%"), "a%2F..%2Fb%3Fc%23d%25");
  EXPECT_EQ(encode_segment(".."), "%2E%2E");
  EXPECT_EQ(encode_segment("ok-1._~"), "ok-1._~");
}

TEST(ApiAddress, ComesInManyForms) {
  for (const char* text :
       {"h:1", "http://h:1", "http://h:1/", "http://h:1/api/public", "http://h:1/api/public/"}) {
    const ApiAddress address = parse_api_address(text).value();
    EXPECT_EQ(address.endpoint.to_string(), "h:1") << text;
    EXPECT_EQ(address.base_path, "") << text;
  }
  EXPECT_EQ(parse_api_address("http://h/cloud/api/public").value().base_path, "/cloud");
  EXPECT_EQ(parse_api_address("http://h").value().endpoint.port, 80);
}

}  // namespace
}  // namespace mesclun::client
