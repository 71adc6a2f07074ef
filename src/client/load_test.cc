// `mesclun load` against a real HTTP server of this machine.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "base/test_folder.h"
#include "client/fake_answers.h"
#include "client/load_target.h"

namespace mesclun::client {
namespace {

CommandResult load(const FakeApi& api, std::vector<std::string> words,
                   const std::string& path = "/x", const std::string& input = "") {
  words.insert(words.begin(), "http://" + api.endpoint().to_string() + path);
  return run_command(load_command, std::move(words), {}, input);
}

std::vector<json::object> lines_of(const std::string& text) {
  std::vector<json::object> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.push_back(parse_json(text.substr(at, end - at)).value().as_object());
    at = end + 1;
  }
  std::ranges::sort(lines, {}, [](const json::object& o) { return o.at("index").as_int64(); });
  return lines;
}

TEST(Load, SendsAllAndPrintsATable) {
  FakeApi api;
  api.on("GET /x?a=1", {200, "hello"});
  const CommandResult result = load(api, {"--requests", "50"}, "/x?a=1");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(api.seen().size(), 50u);
  EXPECT_HAS(result.out, "requests       50 in ");
  EXPECT_HAS(result.out, "ok             50 (100.0 %)");
  EXPECT_HAS(result.out, "failed         0\n");
  EXPECT_HAS(result.out, "latency (ok)   p50 ");
  EXPECT_HAS(result.err, "done: 50 of 50 requests succeeded in ");
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << "no terminal, one line";
}

TEST(Load, RetriesWhatMayComeRight) {
  FakeApi api;
  api.on("GET /x", {503, "", "1"});
  api.on("GET /x", {502, ""});
  api.on("GET /x", {200, "ok"});
  const CommandResult result = load(api, {"--requests", "1", "-o", "json", "--keep-bodies"});
  EXPECT_EQ(result.status, 0) << result.err;
  const json::object line = lines_of(result.out).at(0);
  EXPECT_EQ(line.at("status").as_int64(), 200);
  EXPECT_EQ(line.at("attempts").as_int64(), 3);
  EXPECT_EQ(line.at("body").as_string(), "ok");
  EXPECT_GE(line.at("latency_ms").as_double(), 1000) << "Retry-After: 1";
  EXPECT_HAS(result.err, "retries        2 ");
}

TEST(Load, FailuresAreCountedByStatus) {
  FakeApi api;
  api.on("GET /x", {404, "no"});
  const CommandResult result = load(api, {"--requests", "5"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(api.seen().size(), 5u);
  EXPECT_HAS(result.out, "failed         5 (5 × 404)");
}

TEST(Load, ServerThatIsGoneIsNotHammered) {
  Endpoint gone;
  {
    const FakeApi api;
    gone = api.endpoint();
  }
  const CommandResult result = run_command(
      load_command, {"http://" + gone.to_string(), "--duration", "1s", "--attempts", "1"}, {});
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.out, "× connect)");
  const int failed = std::atoi(result.out.c_str() + result.out.find("requests") + 8);
  EXPECT_LE(failed, 60) << result.out;
}

TEST(Load, EachJsonLineIsOneRequest) {
  FakeApi api;
  api.on("POST /x", {200, "{}"});
  const CommandResult result = load(api, {"--bodies-jsonl", "-", "--concurrency-max", "1"}, "/x",
                                    "{\"n\":1}\n\n{\"n\":2}\n");
  EXPECT_EQ(result.status, 0) << result.err;
  const std::vector<SeenRequest> seen = api.seen();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].body, "{\"n\":1}");
  EXPECT_EQ(seen[1].body, "{\"n\":2}");
  EXPECT_EQ(seen[0].media_type, "application/json");
}

TEST(Load, FilesHeadersAndLinesOut) {
  FakeApi api;
  api.on("PUT /x", {200, "\xff", "3"});
  const TestFolder folder;
  std::ofstream(folder.path("a")) << "one";
  std::ofstream(folder.path("b")) << "two";
  const CommandResult result = load(
      api, {"--method", "PUT", "--body-file", folder.path("a"), "--body-file", folder.path("b"),
            "--requests", "4", "--content-type", "text/plain", "--header", "Salad-Api-Key: k1",
            "--out", folder.path("out"), "--label-header", "Retry-After", "--keep-bodies"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_HAS(result.out, "requests       4 in ");
  std::multiset<std::string> bodies;
  for (const SeenRequest& request : api.seen()) {
    bodies.insert(request.body);
    EXPECT_EQ(request.key, "k1");
    EXPECT_EQ(request.media_type, "text/plain");
  }
  EXPECT_EQ(bodies, (std::multiset<std::string>{"one", "one", "two", "two"}));
  std::ifstream out(folder.path("out"));
  const std::string text{std::istreambuf_iterator<char>(out), {}};
  const std::vector<json::object> lines = lines_of(text);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[3].at("index").as_int64(), 3);
  EXPECT_EQ(lines[3].at("node").as_string(), "3");
  EXPECT_EQ(lines[3].at("body_base64").as_string(), "/w==");
}

TEST(Load, LinesThatCannotBeWrittenAreAFailure) {
  FakeApi api;
  api.on("GET /x", {200, "ok"});
  const CommandResult result = load(api, {"--requests", "50", "--out", "/dev/full"});
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "mesclun: cannot write /dev/full: No space left on device");
}

TEST(Load, APostIsSentAgainOnlyByTheSwitch) {
  for (const bool unsafe : {false, true}) {
    FakeApi api;
    api.on("POST /x", {429, "", "1"});
    api.on("POST /x", {500, ""});
    api.on("POST /x", {200, "ok"});
    std::vector<std::string> words = {"--requests", "1", "--body", "{}"};
    if (unsafe) words.push_back("--retry-unsafe");
    const CommandResult result = load(api, std::move(words));
    EXPECT_EQ(result.status, unsafe ? 0 : 1) << result.err;
    EXPECT_EQ(api.seen().size(), unsafe ? 3u : 1u);
  }
}

TEST(Load, AGroupsNameIsEnough) {
  FakeApi api;
  api.on(path_of("GET", kGroups, "/echo"), {200, group_body("echo", "running", 2)});
  api.on("GET /predict?x=1", {200, "ok"});
  std::map<std::string, std::string> environment = fake_environment(api);
  environment["MESCLUN_GATEWAY"] = api.endpoint().to_string();
  const CommandResult result =
      run_command(load_command, {"echo/predict?x=1", "-n", "3", "-c", "1"}, environment);
  EXPECT_EQ(result.status, 0) << result.err;
  ASSERT_EQ(api.seen().size(), 4u);
  EXPECT_EQ(api.seen().back().host, "echo.localhost");
  EXPECT_EQ(api.seen().back().key, "") << "the group asks for none";
}

TEST(Load, AGroupThatIsNotThereIsTold) {
  FakeApi api;
  const CommandResult result = run_command(load_command, {"ecko"}, fake_environment(api));
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "mesclun: ");
  EXPECT_EQ(result.out, "");
}

TEST(Load, TheGatewaysReasonIsShown) {
  FakeApi api;
  api.on("GET /x", {503, "", "1", "no_ready_instance"});
  const CommandResult result = load(api, {"--requests", "2", "--attempts", "1", "-o", "json"});
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "(2 × 503 no_ready_instance)");
  EXPECT_HAS(std::string(lines_of(result.out).at(0).at("error").as_string()),
             "(gateway: no_ready_instance)");
}

TEST(LoadTarget, TellsGroupsFromAddresses) {
  for (const char* group : {"greeter", "greeter/", "greeter/predict?x=http://a.b", "g-1?x"}) {
    EXPECT_TRUE(names_group(group)) << group;
  }
  for (const char* address : {"", "localhost", "localhost/x", "http://a/", "a.b", "a:80", "[::1]",
                              "greeter.localhost:8801/x"}) {
    EXPECT_FALSE(names_group(address)) << address;
  }
}

TEST(Load, OpenLoopKeepsItsPace) {
  FakeApi api;
  api.on("GET /x", {200, ""});
  const CommandResult result = load(api, {"--rate", "50", "--duration", "1s"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(api.seen().size(), 50u);
}

TEST(Load, CtrlCStopsAndStillPrintsTheTable) {
  FakeApi api;
  api.on("GET /x", {200, ""});
  std::thread person([&] {
    EXPECT_TRUE(api.wait_for("GET /x", 3));
    ::kill(::getpid(), SIGINT);
  });
  const CommandResult result = load(api, {"--rate", "20", "--duration", "1m"});
  person.join();
  EXPECT_EQ(result.status, 130);
  EXPECT_HAS(result.err, "stopped: ");
  EXPECT_HAS(result.out, "goodput");
  EXPECT_LT(api.seen().size(), 100u);
}

TEST(Load, APersonSeesABar) {
  FakeApi api;
  api.on("GET /x", {200, ""});
  const CommandResult result = run_command(
      load_command,
      {"http://" + api.endpoint().to_string() + "/x", "--rate", "20", "--requests", "10"}, {}, "",
      true);
  EXPECT_HAS(result.err, "[######");
  EXPECT_HAS(result.err, " of 10, ");
}

TEST(Load, WrongUsageEndsWithTwo) {
  const std::string url = "http://127.0.0.1:1/";
  testing::internal::CaptureStderr();
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"https://127.0.0.1/"},
                                             {url, "--body", "a", "--bodies-jsonl", "-"},
                                             {url, "--body-file", "/nowhere/body"},
                                             {url, "--header", "nonsense"},
                                             {url, "--hedge", "0.2"},
                                             {url, "--rate", "-1"},
                                             {url, "--timeout", "5"},
                                             {url, "--concurrency", "9", "--concurrency-max", "8"},
                                             {url, "--out", "/nowhere/out"}}) {
    EXPECT_EQ(run_command(load_command, words, {}).status, 2)
        << (words.empty() ? "" : words.back());
  }
  testing::internal::GetCapturedStderr();
  EXPECT_HAS(run_command(load_command, {"https://h/"}, {}).err, "only http:// is supported");
}

TEST(Load, HelpHasExamplesAndExitStatus) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_command(load_command, {"--help"}, {}).status, 0);
  const std::string help = testing::internal::GetCapturedStdout();
  for (const char* part : {"Examples:\n", "Exit status: 0", "MESCLUN_LOAD_CONCURRENCY_MAX",
                           "DURATION 1ms..1h", "closed loop"}) {
    EXPECT_HAS(help, part);
  }
}

}  // namespace
}  // namespace mesclun::client
