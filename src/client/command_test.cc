// The other commands, and what all of them share, against an HTTP server that answers as the
// contract says.
#include <gtest/gtest.h>

#include <csignal>

#include "base/suggest.h"
#include "base/test_folder.h"
#include "client/fake_answers.h"
#include "client/machine_verbs.h"
#include "client/operator_verbs.h"
#include "client/stream_verbs.h"

namespace mesclun::client {
namespace {

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
  for (const Command command :
       {&group_command, &instance_command, &logs_command, &events_command, &node_command,
        &gateway_command, &token_command, &org_command, &project_command, &key_command}) {
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

TEST(Errors, WhatIsNamedCannotMoveTheCursorNorFillTheScreen) {
  const TestFolder folder;
  const std::map<std::string, std::string> environment = {
      {"MESCLUN_CONTEXT", folder.path("context.json")}};
  const CommandResult red = run_command(context_command, {"use", "a\x1b[31mb"}, environment);
  EXPECT_EQ(red.status, 1);
  EXPECT_HAS(red.err, "a\xEF\xBF\xBD[31mb");
  EXPECT_EQ(red.err.find('\x1b'), std::string::npos);
  const CommandResult huge =
      run_command(context_command, {"use", std::string(100'000, 'x')}, environment);
  EXPECT_EQ(huge.status, 1);
  EXPECT_LT(huge.err.size(), 5'000u);
}

TEST(Errors, AnEmptyNameIsWrongUsageAndAsksNothing) {
  FakeApi api;
  const auto environment = fake_environment(api);
  for (const char* verb : {"get", "delete", "start", "restart"}) {
    EXPECT_EQ(run_command(group_command, {verb, ""}, environment).status, 2) << verb;
  }
  EXPECT_EQ(run_command(group_command, {"scale", "", "2"}, environment).status, 2);
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
  api.on(path_of("GET", kExtra, "/echo/instances"),
         {200, R"({"items": [{"instance_id": "i", "machine_id":
             "aaaa0000-0000-4000-8000-00000000000a", "hostname": "desk", "silent": true}]})"});
  const CommandResult list = run_command(instance_command, {"list", "echo"}, fake_environment(api));
  EXPECT_EQ(list.status, 0) << list.err;
  EXPECT_HAS(list.out, std::string(kId) +
                           "  desk (silent)  aaaa0000-0000-4000-8000-00000000000a  running  yes");
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

TEST(Nodes, AreMeantByIdBeginningOrHost) {
  const auto node = [](std::string id, std::string host) {
    return NodeView{.machine_id = std::move(id), .hostname = std::move(host)};
  };
  const std::vector<NodeView> nodes{node("aaaa-1", "pc1"), node("aaab-2", "pc2"),
                                    node("bbbb-3", "pc2")};
  EXPECT_EQ(choose_node(nodes, "aaaa-1").value(), "aaaa-1");
  EXPECT_EQ(choose_node(nodes, "b").value(), "bbbb-3");
  EXPECT_EQ(choose_node(nodes, "pc1").value(), "aaaa-1");
  EXPECT_HAS(choose_node(nodes, "aaa").error().message, "aaaa-1, aaab-2");
  EXPECT_HAS(choose_node(nodes, "pc2").error().message, "aaab-2, bbbb-3");
  EXPECT_HAS(choose_node(nodes, "pc9").error().message, "mesclun node list");
  EXPECT_FALSE(choose_node(nodes, ""));
}

TEST(Nodes, AreForgottenBannedAndLetInAgain) {
  FakeApi api;
  const std::string id = "aaaa0000-0000-4000-8000-00000000000a";
  api.on("GET /api/operator/nodes",
         {200, R"({"items":[{"machine_id":")" + id +
                   R"(","hostname":"pc1","state":"online","mode":"active","cpu":1,"memory_mb":1,)"
                   R"("cpu_used":0,"memory_used_mb":0,"gpus":[],"warnings":[],"instances":[]}]})"});
  api.on("DELETE /api/operator/nodes/" + id, {204, ""});
  api.on("POST /api/operator/nodes/" + id + "/ban", {204, ""});
  api.on("POST /api/operator/nodes/" + id + "/unban", {204, ""});
  for (const char* verb : {"forget", "ban", "unban"}) {
    const CommandResult result = run_command(node_command, {verb, "pc1"}, fake_environment(api));
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.out, id + ": " + verb + " accepted\n");
    EXPECT_FALSE(result.err.empty());
  }
}

TEST(Nodes, AreDrainedAndWaitedFor) {
  FakeApi api;
  const std::string id = "aaaa0000-0000-4000-8000-00000000000a";
  const auto nodes = [&](const std::string& instances) {
    return FakeAnswer{200, R"({"items":[{"machine_id":")" + id +
                               R"(","hostname":"pc1","state":"online","mode":"active",)"
                               R"("drained":true,"cpu":1,"memory_mb":1,"cpu_used":0,)"
                               R"("memory_used_mb":0,"gpus":[],"warnings":[],"instances":[)" +
                               instances + "]}]}"};
  };
  const std::string one =
      R"({"organization_name":"acme","project_name":"demo","container_group_name":"echo",)"
      R"("instance_id":"i","state":"running","ready":true,"leaving":true})";
  for (const auto& answer : {nodes(one), nodes(one), nodes(one), nodes("")}) {
    api.on("GET /api/operator/nodes", answer);
  }
  api.on("POST /api/operator/nodes/" + id + "/drain", {204, ""});
  api.on("POST /api/operator/nodes/" + id + "/undrain", {204, ""});
  const auto environment = fake_environment(api);
  EXPECT_HAS(run_command(node_command, {"list"}, environment).out,
             "online, drained, 1 still there");
  const CommandResult drained = run_command(node_command, {"drain", "pc1", "--wait"}, environment);
  EXPECT_EQ(drained.status, 0) << drained.err;
  EXPECT_EQ(drained.out, id + ": drain accepted\n");
  EXPECT_HAS(drained.err, "1 left: echo");
  EXPECT_HAS(drained.err, "Nothing runs there");
  EXPECT_HAS(run_command(node_command, {"drain", "pc1"}, environment).err, "Nothing runs there");
  EXPECT_EQ(run_command(node_command, {"drain", "pc1", "--undo"}, environment).out,
            id + ": undrain accepted\n");
}

TEST(Stats, AreATableWithADashForWhatNobodyKnows) {
  FakeApi api;
  const std::string items =
      R"({"items":[{"container_group_name":"echo","instance_id":"aaaa0000-0000","machine_id":"m",)"
      R"("hostname":"pc1","state":"running","ready":true,"restarts":2,"cpu_cores":0.256,)"
      R"("cpu_limit":4,"memory_bytes":104857600,"memory_limit_bytes":1073741824,)"
      R"("requests_per_second":12.34,"in_flight":3},)"
      R"({"container_group_name":"job","instance_id":"bbbb0000-0000","machine_id":"n",)"
      R"("hostname":"","state":"creating","ready":false,"restarts":0,"cpu_cores":null,)"
      R"("cpu_limit":1,"memory_bytes":null,"memory_limit_bytes":1,)"
      R"("requests_per_second":null,"in_flight":null}]})";
  api.on("GET /api/mesclun/organizations/acme/projects/demo/stats", {200, items});
  const auto environment = fake_environment(api);
  const std::string table = run_command(stats_command, {}, environment).out;
  EXPECT_HAS(table, "echo   aaaa0000  pc1      running   yes    2         0.26/4  100/1024   12.3");
  EXPECT_HAS(table, "job    bbbb0000  n        creating  no     0         -       -          -");
  EXPECT_HAS(run_command(stats_command, {"-o", "json"}, environment).out, "\"cpu_cores\": 2.56E-1");
  EXPECT_EQ(run_command(stats_command, {"nobody"}, environment).status, 1);
}

TEST(Gateways, AreListedAndForgotten) {
  FakeApi api;
  api.on(
      "GET /api/operator/gateways",
      {200, R"({"items":[{"name":"eu","tunnel_endpoint":"eu.example:8804","state":"online"}]})"});
  api.on("DELETE /api/operator/gateways/eu", {204, ""});
  EXPECT_HAS(run_command(gateway_command, {"list"}, fake_environment(api)).out,
             "eu    eu.example:8804  online");
  EXPECT_EQ(run_command(gateway_command, {"forget", "eu"}, fake_environment(api)).status, 0);
  EXPECT_EQ(run_command(gateway_command, {"forget", "us"}, fake_environment(api)).status, 1);
}

TEST(Tokens, AreRotatedAndPrintedAlone) {
  FakeApi api;
  api.on("POST /api/operator/tokens/join/rotate", {200, R"({"name":"join","token":"fresh"})"});
  const CommandResult result =
      run_command(token_command, {"rotate", "join"}, fake_environment(api));
  EXPECT_EQ(result.out, "fresh\n");
  EXPECT_HAS(result.err, "Those that are known stay");
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

TEST(Nodes, OneIsDescribedAndWhatIsNotKnownSaysSo) {
  const WallTime now = parse_rfc3339("2026-01-01T01:00:00Z").value();
  NodeView node{.machine_id = "aaaa", .hostname = "pc1", .state = "online", .mode = "active"};
  node.cpu = 8;
  node.gpus = {{.name = "RTX 4090 (24 GB)", .memory_mb = 24'564, .memory_free_mb = 20'000},
               {.name = "RTX 3060 (12 GB)"},
               {.name = "T4", .pretended = true}};
  node.gpu_driver = "570.86";
  node.measurements = {
      {.name = "s3", .latency_ms = 12.34, .mbit_per_s = 94.2, .time = "2026-01-01T00:30:00Z"},
      {.name = "far", .problem = "refused", .time = "2026-01-01T00:00:00Z"}};
  const std::string text = describe_node(node, now);
  EXPECT_HAS(text, "gpu          RTX 4090 (24 GB), memory 24564 MB, free 20000 MB\n");
  EXPECT_HAS(text, "gpu          RTX 3060 (12 GB), memory unknown, free unknown\n");
  EXPECT_HAS(text, "gpu          T4, pretended\n");
  EXPECT_HAS(text, "gpu driver   570.86, CUDA unknown\n");
  EXPECT_HAS(text, "to s3        latency 12.3 ms, 94.2 Mbit/s, 30m ago\n");
  EXPECT_HAS(text, "to far       latency unknown, throughput unknown, 60m ago: refused\n");
  EXPECT_HAS(text, "country      unknown\n");
  EXPECT_HAS(text, "runs         nothing\n");
}

TEST(Nodes, WarnOnceOfWhatManyLack) {
  const auto node = [](std::string name, std::vector<std::string> warnings) {
    return NodeView{.hostname = std::move(name), .warnings = std::move(warnings)};
  };
  EXPECT_EQ(
      node_warnings({node("pc1", {"no nft", "no cgroups"}), node("pc2", {"no nft"}),
                     node("pc3", {"no nft", "no cgroups", "no GPU", "no GPU"})}),
      (std::vector<std::string>{"all 3 nodes: no nft", "2 nodes: no cgroups", "pc3: no GPU"}));
  EXPECT_EQ(node_warnings({node("pc1", {"no nft"})}), (std::vector<std::string>{"pc1: no nft"}));
  EXPECT_TRUE(node_warnings({}).empty());
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
