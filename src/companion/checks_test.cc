// The initial checks against real servers that are fast, slow, silent, refusing and absent.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/race.h"
#include "base/test_loop.h"
#include "companion/check_probes.h"
#include "companion/check_result_file.h"
#include "companion/check_runner.h"
#include "http/server.h"
#include "http/sigv4.h"

namespace mesclun::companion {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr uint64_t kGib = 1024ull * 1024 * 1024;

// A server of this test, on a port of its own. A path says how it behaves.
class TestServer {
 public:
  explicit TestServer(RealLoop& loop)
      : loop_(loop),
        server_(
            loop.executor(), loop.clock, "storage", HttpLimits{.body_bytes_max = 32 * 1024 * 1024},
            [this](HttpRequest request) { return answer(std::move(request)); },
            [](const Error&) { return HttpResponse{.status = 400}; }) {
    Result<Listener> listener = Listener::bind(loop.executor(), Endpoint{.host = "127.0.0.1"});
    EXPECT_TRUE(listener);
    address = listener->endpoint().to_string();
    server_.serve(*std::move(listener));
  }
  Task<Result<>> stop() {
    co_await server_.stop();
    co_return Result<>();
  }
  std::string url(std::string_view path) const { return fmt::format("http://{}{}", address, path); }

  std::string address;
  std::vector<std::string> log;  // "PUT /b/x 1000"
  std::map<std::string, std::string> objects;
  SigningKey key{.access_key_id = "id", .secret_access_key = "secret"};
  int status = 200;  // of the next `failures` requests
  int failures = 0;
  Duration slow{};  // before each answer, `failures` times

 private:
  bool signature_is_right(const HttpRequest& request) const {
    const std::string_view time = request.head.headers.find("X-Amz-Date").value_or("");
    if (time.size() != 16) return false;
    const auto at = [&](size_t i, size_t n) { return time.substr(i, n); };
    const Result<WallTime> when = parse_rfc3339(fmt::format(
        "{}-{}-{}T{}:{}:{}Z", at(0, 4), at(4, 2), at(6, 2), at(9, 2), at(11, 2), at(13, 2)));
    if (!when) return false;
    HttpCall call{.method = request.head.method, .target = request.head.target};
    sign_v4(call, request.head.headers.find("Host").value_or(""), key, *when, kUnsignedPayload);
    return call.headers.find("Authorization") == request.head.headers.find("Authorization");
  }

  Task<HttpResponse> answer(HttpRequest request) {
    const std::string path(request.path());
    log.push_back(fmt::format("{} {} {}", request.head.method, path, request.body.size()));
    if (failures > 0) {
      --failures;
      if (slow > Duration()) std::ignore = co_await loop_.clock.sleep_for(slow);
      if (status != 200) co_return HttpResponse{.status = status};
    }
    if (path == "/null") co_return HttpResponse{.status = 204};
    if (path == "/big") co_return HttpResponse{.body = std::string(2'000'000, 'x')};
    if (path == "/tiny") co_return HttpResponse{.body = "tiny"};
    if (!signature_is_right(request)) co_return HttpResponse{.status = 403};
    if (request.head.method == "PUT") objects[path] = request.body;
    if (request.head.method == "GET") co_return HttpResponse{.body = objects[path]};
    if (request.head.method == "DELETE") objects.erase(path);
    co_return HttpResponse{.status = 200};
  }

  RealLoop& loop_;
  HttpServer server_;
};

struct FakeCommands final : CommandRunner {
  Task<Result<CommandOutput>> run(std::vector<std::string> argv, Duration) override {
    ++runs;
    if (argv.size() == 1) {
      CommandOutput table{.out = "| CUDA Version: 12.4 |\n"};
      co_return table;
    }
    co_return lines;
  }
  Result<CommandOutput> lines = Error::not_found("no program nvidia-smi");
  int runs = 0;
};

struct FakeEnvironment final : CheckEnvironment {
  std::string machine_id() const override { return machine; }
  std::optional<int> nodes_left() const override { return nodes; }
  std::string machine = "m-1";
  std::optional<int> nodes;
};

class CheckRunnerTest : public testing::Test {
 protected:
  CheckRunnerTest() {
    config.result_file = folder + "/passed.json";
    config.pause = 10ms;
    config.timeout = 2s;
    config.bytes = 2'000'000;
    std::filesystem::create_directories(folder);
  }
  ~CheckRunnerTest() override {
    loop.run(server.stop());
    std::filesystem::remove_all(folder);
  }

  CheckVerdict run_checks() {
    CheckRunner runner(config, loop.clock, commands, environment, root);
    CheckVerdict verdict;
    loop.run(keep(runner, verdict));
    items = runner.items();
    return verdict;
  }
  static Task<Result<>> keep(CheckRunner& runner, CheckVerdict& out) {
    CO_TRY(out, co_await runner.run());
    co_return Result<>();
  }
  void use_bucket() {
    config.bucket = {.endpoint = server.url(""),
                     .bucket = "a bucket",
                     .access_key_id = "id",
                     .secret_access_key = "secret",
                     .download_mbps_min = 1,
                     .upload_mbps_min = 1};
  }

  RealLoop loop;
  TestServer server{loop};
  std::string folder = testing::TempDir() + fmt::format("checks_test_{}", ::getpid());
  std::string root;
  ChecksConfig config;
  FakeCommands commands;
  FakeEnvironment environment;
  std::vector<CheckItem> items;
};

TEST_F(CheckRunnerTest, TransfersAreMeasured) {
  config.download = {.url = server.url("/big"), .mbps_min = 1};
  config.upload = {.url = server.url("/null"), .mbps_min = 1, .method = "POST"};
  const CheckVerdict verdict = run_checks();
  EXPECT_EQ(verdict.step, CheckStep::Serve) << verdict.reason;
  EXPECT_THAT(verdict.warnings, IsEmpty());
  EXPECT_THAT(server.log, ElementsAre("GET /big 0", "POST /null 2000000"));
  ASSERT_THAT(items, SizeIs(2));
  for (const CheckItem& item : items) EXPECT_GT(item.measured.value_or(0), 1) << item.key;
}

TEST_F(CheckRunnerTest, TheBucketGetsAnObjectGivesItBackAndLosesIt) {
  use_bucket();
  const CheckVerdict verdict = run_checks();
  EXPECT_EQ(verdict.step, CheckStep::Serve) << verdict.reason;
  EXPECT_THAT(verdict.warnings, IsEmpty());
  ASSERT_THAT(server.log, SizeIs(3));
  EXPECT_THAT(server.log[0], HasSubstr("PUT /a%20bucket/mesclun-app-checks/m-1-"));
  EXPECT_THAT(server.log[0], HasSubstr(" 2000000"));
  EXPECT_THAT(server.log[1], HasSubstr("GET /"));
  EXPECT_THAT(server.log[2], HasSubstr("DELETE /"));
  EXPECT_THAT(server.objects, IsEmpty());
}

TEST_F(CheckRunnerTest, AWrongKeyIsUnknownAndSaysWhatToCheck) {
  use_bucket();
  config.bucket.secret_access_key = "wrong";
  const CheckVerdict verdict = run_checks();
  EXPECT_EQ(verdict.step, CheckStep::Serve);
  ASSERT_THAT(verdict.warnings, SizeIs(2));
  EXPECT_THAT(verdict.warnings[0], HasSubstr("check the keys"));
}

TEST_F(CheckRunnerTest, WhatCannotBeReachedIsUnknown) {
  server.status = 503;
  server.failures = 100;
  config.download = {.url = server.url("/big"), .mbps_min = 1};
  config.upload = {.url = "http://127.0.0.1:1/", .mbps_min = 1};
  config.latency = {{.address = "127.0.0.1:1", .ms_max = 1}};
  config.bucket = {.endpoint = "http://name.invalid", .bucket = "b", .upload_mbps_min = 1};
  config.gpu = {.vram_total_min = kGib, .cuda_min = "12.8"};
  const CheckVerdict verdict = run_checks();
  EXPECT_EQ(verdict.step, CheckStep::Serve) << verdict.reason;
  EXPECT_THAT(verdict.warnings, SizeIs(7));
  EXPECT_THAT(verdict.warnings, testing::Contains(HasSubstr("answered 503")));
  EXPECT_THAT(verdict.warnings, testing::Contains(HasSubstr("Connection refused")));
  EXPECT_THAT(verdict.warnings,
              testing::Contains(testing::AnyOf(HasSubstr("cannot resolve 'name.invalid'"),
                                               HasSubstr("no byte within"))));
  EXPECT_THAT(verdict.warnings, testing::Contains(HasSubstr("no program nvidia-smi")));
}

TEST_F(CheckRunnerTest, AFileTooSmallOrAHangingServerIsUnknown) {
  config.timeout = 200ms;
  config.download = {.url = server.url("/tiny"), .mbps_min = 1};
  EXPECT_THAT(run_checks().warnings, ElementsAre(HasSubstr("only 4 bytes")));
  std::filesystem::remove(config.result_file);
  server.slow = 1h;
  server.failures = 1;
  EXPECT_THAT(run_checks().warnings, ElementsAre(HasSubstr("no byte within 200 ms")));
}

TEST_F(CheckRunnerTest, OnlyWhatMissedIsMeasuredAgainAndAnyPassCounts) {
  config.latency = {{.address = server.address, .ms_max = 1000}};
  config.latency_samples = 2;
  // The first one answers late, which makes the upload slow.
  config.upload = {.url = server.url("/null"), .mbps_min = 15};
  config.download = {.url = server.url("/big"), .mbps_min = 1};
  server.slow = 1500ms;
  server.failures = 2;
  const CheckVerdict verdict = run_checks();
  EXPECT_EQ(verdict.step, CheckStep::Serve) << verdict.reason;
  EXPECT_THAT(server.log, ElementsAre("GET /big 0", "PUT /null 2000000", "PUT /null 2000000"));
}

TEST_F(CheckRunnerTest, MissesMoveTheInstanceAfterTheLastAttempt) {
  config.attempts = 2;
  config.gpu = {.vram_total_min = 8 * kGib, .cuda_min = "12.8", .temperature_max = 80};
  commands.lines = CommandOutput{.out = "GPU, 6144, 100, 6044, [N/A], 550\n"};
  const CheckVerdict verdict = run_checks();
  EXPECT_EQ(verdict.step, CheckStep::Reallocate);
  EXPECT_EQ(verdict.reason,
            "checks missed: GPU memory: 6 GiB, 8 GiB required; CUDA version of the driver: 12.4, "
            "12.8 required");
  EXPECT_THAT(verdict.warnings, ElementsAre(HasSubstr("GPU temperature: unknown")));
  EXPECT_EQ(commands.runs, 4);
  EXPECT_FALSE(std::filesystem::exists(config.result_file));
}

TEST_F(CheckRunnerTest, PassedChecksAreNotRepeatedOnTheSameMachine) {
  config.gpu.vram_total_min = kGib;
  commands.lines = CommandOutput{.out = "GPU, 6144, 100, 6044, 40, 550\n"};
  EXPECT_EQ(run_checks().skipped, "");
  EXPECT_THAT(run_checks().skipped, HasSubstr("passed on this machine at 20"));
  EXPECT_EQ(commands.runs, 1);

  environment.machine = "m-2";
  EXPECT_EQ(run_checks().skipped, "");
  config.gpu.vram_total_min = 2 * kGib;
  EXPECT_EQ(run_checks().skipped, "");
  std::ofstream(config.result_file) << "{\"machine_id\": 7";
  EXPECT_EQ(run_checks().skipped, "");
  EXPECT_EQ(commands.runs, 4);
}

TEST_F(CheckRunnerTest, OutsideThePlatformTheyRunOnlyWhenAskedTo) {
  environment.machine = "";
  config.gpu.vram_total_min = kGib;
  EXPECT_THAT(run_checks().skipped, HasSubstr("SALAD_MACHINE_ID"));
  EXPECT_EQ(commands.runs, 0);
  config.run_locally = true;
  EXPECT_EQ(run_checks().skipped, "");
  EXPECT_EQ(commands.runs, 1);
  config.gpu = {};
  EXPECT_EQ(run_checks().skipped, "none are configured");
}

TEST_F(CheckRunnerTest, AFileThatCannotBeWrittenIsNoMiss) {
  config.result_file = folder + "/absent/passed.json";
  config.memory_min = 1;
  EXPECT_EQ(run_checks().step, CheckStep::Serve);
}

TEST_F(CheckRunnerTest, MemoryIsTheLeastOfTheLimits) {
  root = folder;
  const auto write = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path) << text;
  };
  EXPECT_FALSE(memory_limit(root));
  write("/proc/meminfo", "MemFree: 5 kB\nMemTotal:       4194304 kB\n");
  EXPECT_EQ(memory_limit(root).value(), 4 * kGib);
  write("/sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(memory_limit(root).value(), 4 * kGib);
  write("/sys/fs/cgroup/memory.max", fmt::format("{}\n", 2 * kGib));
  EXPECT_EQ(memory_limit(root).value(), 2 * kGib);
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", fmt::format("{}\n", kGib));
  EXPECT_EQ(memory_limit(root).value(), kGib);
  config.memory_min = 2 * kGib;
  config.disk_min = 1;
  config.attempts = 1;
  EXPECT_THAT(run_checks().misses, ElementsAre("memory: 1 GiB, 2 GiB required"));
}

TEST(CheckRunnerCancel, AStopEndsTheChecksAtOnce) {
  RealLoop loop;
  ChecksConfig config{.pause = 1h, .result_file = "", .memory_min = ~0ull >> 1};
  FakeCommands commands;
  FakeEnvironment environment;
  CheckRunner runner(config, loop.clock, commands, environment);
  const auto body = [](CheckRunner& r, RealLoop& l) -> Task<Result<>> {
    const auto verdict = co_await within(l.clock, 50ms, r.run());
    EXPECT_FALSE(verdict);
    EXPECT_EQ(verdict.code(), ErrorCode::DeadlineExceeded);
    co_return Result<>();
  };
  loop.run(body(runner, loop));
}

}  // namespace
}  // namespace mesclun::companion
