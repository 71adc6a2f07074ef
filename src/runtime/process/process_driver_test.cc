// Real processes under a real driver. What the machine refuses is skipped, with the reason.
#include "runtime/process/process_driver.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "base/race.h"
#include "base/test_folder.h"
#include "base/test_loop.h"
#include "http/client.h"
#include "http/server.h"
#include "runtime/walls/netns_egress.h"

namespace mesclun::runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Duration kSoon = 10s;

class ProcessDriverTest : public testing::Test {
 public:
  using Body = Task<Result<>> (*)(ProcessDriverTest& t, ProcessDriver& driver);

  ProcessDriverTest() {
    settings.data_folder = folder.path("data");
    // It changes the machine; one test below does that.
    settings.use_egress = false;
  }

  // Runs `body` with a driver and ends every run that it leaves.
  void with_driver(Body body) { loop.run(open_and_run(body)); }

  Task<Result<>> open_and_run(Body body) {
    CO_TRY(auto driver, co_await ProcessDriver::open(loop.executor(), loop.clock, settings));
    const Result<> result = co_await body(*this, *driver);
    CO_TRY(const std::vector<RunInfo> left, co_await driver->list());
    for (const RunInfo& run : left) {
      if (keep_runs) break;
      EXPECT_TRUE(co_await driver->stop(run.instance_id, 0s));
      EXPECT_TRUE(co_await driver->remove(run.instance_id));
    }
    co_await driver->close();
    co_return result;
  }

  RunSpec spec(std::vector<std::string> command) {
    RunSpec made;
    made.instance_id = fmt::format("run-{}", ++number);
    made.command = std::move(command);
    made.memory_bytes = 256 * 1024 * 1024;
    return made;
  }
  std::string data(std::string_view what) const {
    return fmt::format("{}/{}", settings.data_folder, what);
  }
  RunSpec shell(std::string script) { return spec({"/bin/sh", "-c", std::move(script)}); }

  Task<Result<std::string>> launch(ProcessDriver& driver, RunSpec made) {
    const std::string id = made.instance_id;
    CO_TRY_DO(co_await driver.create(std::move(made)));
    CO_TRY_DO(co_await driver.start(id));
    co_return id;
  }
  Task<Result<RunExit>> run_to_end(ProcessDriver& driver, RunSpec made) {
    CO_TRY(const std::string id, co_await launch(driver, std::move(made)));
    co_return co_await within(loop.clock, kSoon, driver.wait(id));
  }
  // All lines, until the run has ended.
  Task<Result<std::vector<std::string>>> output(ProcessDriver& driver, RunSpec made) {
    const std::string id = made.instance_id;
    CO_TRY_DO(co_await run_to_end(driver, std::move(made)));
    CO_TRY(const std::vector<LogChunk> lines, co_await driver.read_log(id, 100'000));
    std::vector<std::string> texts;
    for (const LogChunk& line : lines) texts.push_back(line.text);
    co_return texts;
  }
  // Until the run has written a line; that line.
  Task<Result<std::string>> first_line(ProcessDriver& driver, std::string id) {
    const TimePoint end = loop.clock.now() + kSoon;
    while (loop.clock.now() < end) {
      CO_TRY(const std::vector<LogChunk> lines, co_await driver.read_log(id, 1));
      if (!lines.empty()) co_return lines[0].text;
      CO_TRY_DO(co_await loop.clock.sleep_for(5ms));
    }
    co_return Error::deadline("no line");
  }
  Task<Result<>> until(std::function<bool()> condition) {
    const TimePoint end = loop.clock.now() + kSoon;
    while (!condition()) {
      if (loop.clock.now() > end) co_return Error::deadline("it did not happen");
      CO_TRY_DO(co_await loop.clock.sleep_for(5ms));
    }
    co_return Result<>();
  }

  const TestFolder folder;
  ProcessDriverSettings settings;
  RealLoop loop;
  bool keep_runs = false;
  int number = 0;
};

// A coroutine as the body of a test, run with a driver.
#define DRIVER_TEST(suite, name)                                                            \
  Task<Result<>> suite##name([[maybe_unused]] ProcessDriverTest& t, ProcessDriver& driver); \
  TEST_F(suite, name) {                                                                     \
    with_driver(suite##name);                                                               \
  }                                                                                         \
  Task<Result<>> suite##name([[maybe_unused]] ProcessDriverTest& t,                         \
                             [[maybe_unused]] ProcessDriver& driver)

// Every combination of walls that a machine may allow, as far as this one does.
struct Walls {
  bool namespaces = true;
  bool cgroups = true;
};
class Walled : public ProcessDriverTest, public testing::WithParamInterface<Walls> {
 public:
  Walled() {
    settings.use_namespaces = GetParam().namespaces;
    settings.use_cgroups = GetParam().cgroups;
  }
};
INSTANTIATE_TEST_SUITE_P(ProcessDriver, Walled,
                         testing::Values(Walls{true, true}, Walls{true, false}, Walls{false, true},
                                         Walls{false, false}),
                         [](const testing::TestParamInfo<Walls>& info) {
                           return std::string(info.param.namespaces ? "Namespaces"
                                                                    : "NoNamespaces") +
                                  (info.param.cgroups ? "AndGroups" : "NoGroups");
                         });

#define WALLS_TEST(name)                                                                     \
  Task<Result<>> Walled##name([[maybe_unused]] ProcessDriverTest& t, ProcessDriver& driver); \
  TEST_P(Walled, name) {                                                                     \
    with_driver(Walled##name);                                                               \
  }                                                                                          \
  Task<Result<>> Walled##name([[maybe_unused]] ProcessDriverTest& t,                         \
                              [[maybe_unused]] ProcessDriver& driver)

DRIVER_TEST(ProcessDriverTest, ExitStatusIsReported) {
  for (const std::string& warning : driver.facts().warnings) {
    fmt::print("  note: {}\n", warning);
  }
  CO_TRY(const RunExit zero, co_await t.run_to_end(driver, t.shell("exit 0")));
  EXPECT_EQ(zero.code, 0);
  EXPECT_FALSE(zero.start_failure);
  EXPECT_GT(zero.time, 0);
  CO_TRY(const RunExit seven, co_await t.run_to_end(driver, t.shell("exit 7")));
  EXPECT_EQ(seven.code, 7);
  CO_TRY(const RunExit killed, co_await t.run_to_end(driver, t.shell("kill -SEGV $$")));
  EXPECT_EQ(killed.code, 128 + SIGSEGV);
  EXPECT_THAT(killed.detail, HasSubstr("Segmentation fault"));
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, ProgramThatCannotStartIsAStartFailure) {
  CO_TRY(const RunExit missing, co_await t.run_to_end(driver, t.spec({"/no/such/program"})));
  EXPECT_EQ(missing.code, -1);
  EXPECT_TRUE(missing.start_failure);
  EXPECT_THAT(missing.detail, HasSubstr("No such file"));
  CO_TRY(const RunExit unknown, co_await t.run_to_end(driver, t.spec({"no-such-program"})));
  EXPECT_TRUE(unknown.start_failure);
  CO_TRY(const RunExit refused, co_await t.run_to_end(driver, t.spec({"/etc/passwd"})));
  EXPECT_TRUE(refused.start_failure);
  EXPECT_THAT(refused.detail, HasSubstr("Permission denied"));
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, ImpossibleRequestsAreRefused) {
  RunSpec bad = t.shell("true");
  bad.instance_id = "../up";
  EXPECT_EQ((co_await driver.create(bad)).code(), ErrorCode::InvalidArgument);
  EXPECT_EQ((co_await driver.create(t.spec({}))).code(), ErrorCode::InvalidArgument);
  EXPECT_EQ((co_await driver.start("nobody")).code(), ErrorCode::NotFound);
  const RunSpec good = t.shell("sleep 60");
  CO_TRY_DO(co_await driver.create(good));
  EXPECT_EQ((co_await driver.create(good)).code(), ErrorCode::AlreadyExists);
  EXPECT_EQ((co_await driver.remove(good.instance_id)).code(), ErrorCode::FailedPrecondition);
  EXPECT_EQ((co_await driver.exec(good.instance_id, {"true"}, 1s)).code(),
            ErrorCode::FailedPrecondition);
  CO_TRY_DO(co_await driver.start(good.instance_id));
  EXPECT_EQ((co_await driver.start(good.instance_id)).code(), ErrorCode::FailedPrecondition);
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, EnvironmentIsExactlyWhatWasGiven) {
  RunSpec made = t.spec({"env"});
  made.environment = {{"KEY", "a b=c"}, {"EMPTY", ""}, {"SALAD_METADATA_URI", "mine"}};
  const std::string home = fmt::format("{}/files/{}", t.settings.data_folder, made.instance_id);
  CO_TRY(std::vector<std::string> lines, co_await t.output(driver, made));
  std::ranges::sort(lines);
  EXPECT_THAT(lines, ElementsAre("EMPTY=", "HOME=" + home, "KEY=a b=c", "PATH=" + t.settings.path,
                                 "SALAD_METADATA_URI=mine"));
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, NothingOfTheAgentIsOpenInside) {
  // The fourth is the listing itself.
  CO_TRY(const auto lines, co_await t.output(driver, t.shell("ls /proc/self/fd; pwd; umask; cat")));
  EXPECT_THAT(lines, ElementsAre("0", "1", "2", "3",
                                 fmt::format("{}/files/run-1", t.settings.data_folder), "0022"));
  co_return Result<>();
}

WALLS_TEST(StopGivesTheGraceAndTheProgramMayUseIt) {
  CO_TRY(
      const std::string id,
      co_await t.launch(driver, t.shell("exec 2>/dev/null; trap 'echo bye; exit 3' TERM; echo up; "
                                        "while :; do sleep 0.01; done")));
  CO_TRY(const std::string up, co_await t.first_line(driver, id));
  CO_TRY_DO(co_await driver.stop(id, 60s));
  CO_TRY(const RunExit exit, co_await driver.wait(id));
  EXPECT_EQ(exit.code, 3);
  CO_TRY(const std::string bye, co_await t.first_line(driver, id));
  EXPECT_EQ(bye, "bye");
  co_return Result<>();
}

WALLS_TEST(ProgramThatIgnoresSigtermIsKilledAfterTheGrace) {
  CO_TRY(const std::string id, co_await t.launch(driver, t.shell("trap '' TERM; echo up; "
                                                                 "while :; do sleep 1; done")));
  CO_TRY(const std::string up, co_await t.first_line(driver, id));
  CO_TRY_DO(co_await driver.stop(id, 100ms));
  CO_TRY(const RunExit exit, co_await driver.wait(id));
  EXPECT_EQ(exit.code, 137);
  EXPECT_THAT(exit.detail, HasSubstr("of SIGTERM"));
  co_return Result<>();
}

// A shell that leaves a daemon behind: another session, no parent, output closed. Its name shows
// in /proc while it lives.
std::string daemon_script(const std::string& mark) {
  return fmt::format("(setsid sh -c 'exec sleep 1000.{}' >/dev/null 2>&1 &) ; ", mark);
}
bool runs_anywhere(const std::string& mark) {
  for (const std::string& name : list_folder("/proc")) {
    const Result<std::string> line = read_file("/proc/" + name + "/cmdline");
    if (line && line->starts_with("sleep") && line->find("1000." + mark) != std::string::npos) {
      return true;
    }
  }
  return false;
}

WALLS_TEST(DaemonsDieWithTheRun) {
  const std::string mark = fmt::format("{}1", ::getpid());
  CO_TRY(const std::string id,
         co_await t.launch(driver, t.shell(daemon_script(mark) + "sleep 60")));
  CO_TRY_DO(co_await t.until([&] { return runs_anywhere(mark); }));
  CO_TRY_DO(co_await driver.stop(id, 10s));
  EXPECT_FALSE(runs_anywhere(mark));
  co_return Result<>();
}

WALLS_TEST(DaemonsDieWhenTheProgramEndsByItself) {
  const std::string mark = fmt::format("{}2", ::getpid());
  CO_TRY(const RunExit exit,
         co_await t.run_to_end(driver, t.shell(daemon_script(mark) + "exit 4")));
  EXPECT_EQ(exit.code, 4);
  EXPECT_FALSE(runs_anywhere(mark));
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, MetadataServiceAnswersAtItsAddress) {
  RunSpec made = t.spec({"python3", "-c",
                         "import os, urllib.request\n"
                         "url = os.environ.get('SALAD_METADATA_URI', 'http://169.254.169.254:80')\n"
                         "print(urllib.request.urlopen(url + '/v1/status').read().decode())"});
  const std::string id = made.instance_id;
  CO_TRY_DO(co_await driver.create(made));
  CO_TRY(std::optional<Listener> listener, driver.metadata_listener(id));
  EXPECT_TRUE(listener);
  HttpServer server(
      t.loop.executor(), t.loop.clock, "metadata", {},
      [](HttpRequest request) -> Task<HttpResponse> {
        co_return HttpResponse{.body = "answer to " + std::string(request.path())};
      },
      [](const Error&) { return HttpResponse{.status = 500}; });
  server.serve(*std::move(listener));
  CO_TRY_DO(co_await driver.start(id));
  const Result<std::string> line = co_await t.first_line(driver, id);
  co_await server.stop();
  EXPECT_EQ(line.value_or("none"), "answer to /v1/status");
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, RunHasItsOwnNetworkAndName) {
  if (!driver.facts().own_network) {
    fmt::print("  skipped: {}\n", driver.facts().warnings.front());
    co_return Result<>();
  }
  CO_TRY(const auto lines,
         co_await t.output(driver, t.shell("uname -n; ls /sys/class/net; echo $$; "
                                           "grep -c . /proc/net/if_inet6")));
  EXPECT_EQ(lines[0], "run-1");
  EXPECT_THAT(lines, Contains("lo"));
  co_return Result<>();
}

constexpr const char* kPythonServer =
    "import http.server, socket, sys\n"
    "class Server(http.server.HTTPServer):\n"
    "  address_family = socket.AF_INET6 if sys.argv[1] == '6' else socket.AF_INET\n"
    "s = Server(('::1' if sys.argv[1] == '6' else '127.0.0.1', 0),\n"
    "           http.server.SimpleHTTPRequestHandler)\n"
    "print(s.server_address[1], flush=True)\n"
    "s.serve_forever()\n";

WALLS_TEST(ConnectReachesServersOfEitherFamily) {
  for (const char* family : {"4", "6"}) {
    CO_TRY(const std::string id,
           co_await t.launch(driver, t.spec({"python3", "-c", kPythonServer, family})));
    CO_TRY(const std::string line, co_await t.first_line(driver, id));
    const auto port = static_cast<uint16_t>(std::stoi(line));
    for (int i = 0; i < 20; ++i) {
      CO_TRY(ConnPtr conn, co_await driver.connect(id, port, i % 2 == 0, kSoon));
      if (i > 2) continue;
      bool keep_alive = false;
      HttpCall call{.target = "/"};
      CO_TRY(const HttpReply reply,
             co_await http_call(*conn, std::move(call), "localhost", 1 << 20, keep_alive));
      EXPECT_EQ(reply.status, 200);
    }
    EXPECT_EQ((co_await driver.connect(id, 1, true, kSoon)).code(), ErrorCode::Unavailable);
  }
  co_return Result<>();
}

WALLS_TEST(ExecRunsBesideTheApplication) {
  RunSpec made = t.shell("echo $$ > here; echo up; sleep 60");
  made.environment["KEY"] = "value";
  CO_TRY(const std::string id, co_await t.launch(driver, made));
  CO_TRY(const std::string up, co_await t.first_line(driver, id));
  const auto exec = [&](std::string script) {
    return driver.exec(id, {"/bin/sh", "-c", std::move(script)}, kSoon);
  };
  EXPECT_EQ((co_await exec("exit 0")).value_or(-1), 0);
  EXPECT_EQ((co_await exec("exit 9")).value_or(-1), 9);
  EXPECT_EQ((co_await exec("test \"$KEY\" = value && kill -0 $(cat here)")).value_or(-1), 0);
  EXPECT_EQ((co_await driver.exec(id, {"/no/such"}, kSoon)).value_or(-1), 127);
  EXPECT_EQ((co_await driver.exec(id, {"/etc/passwd"}, kSoon)).value_or(-1), 126);
  co_return Result<>();
}

WALLS_TEST(ExecThatTakesTooLongIsKilled) {
  const std::string mark = fmt::format("{}3", ::getpid());
  CO_TRY(const std::string id, co_await t.launch(driver, t.shell("sleep 60")));
  const std::string script = fmt::format("sleep 1000.{} & wait", mark);
  EXPECT_EQ((co_await driver.exec(id, {"/bin/sh", "-c", script}, 200ms)).code(),
            ErrorCode::DeadlineExceeded);
  CO_TRY_DO(co_await t.until([&] { return !runs_anywhere(mark); }));
  // A caller that gives up takes its command with it.
  const Result<int32_t> given_up =
      co_await within(t.loop.clock, 200ms, driver.exec(id, {"/bin/sh", "-c", script}, 60s));
  EXPECT_FALSE(given_up);
  CO_TRY_DO(co_await t.until([&] { return !runs_anywhere(mark); }));
  CO_TRY(const std::vector<RunInfo> runs, co_await driver.list());
  EXPECT_FALSE(runs[0].exit);
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, MemoryHogIsEnded) {
  if (!driver.facts().limits_memory) {
    fmt::print("  skipped: {}\n", driver.facts().warnings.back());
    co_return Result<>();
  }
  RunSpec made = t.spec({"python3", "-c", "x = bytearray(400_000_000)\nprint(len(x))"});
  made.memory_bytes = 100 * 1024 * 1024;
  CO_TRY(const RunExit exit, co_await t.run_to_end(driver, std::move(made)));
  EXPECT_EQ(exit.code, 137);
  EXPECT_THAT(exit.detail, HasSubstr("out of memory: more than 100 MiB"));
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, CpuLimitIsAFractionOfACore) {
  if (!driver.facts().limits_cpu) {
    fmt::print("  skipped: {}\n", driver.facts().warnings.back());
    co_return Result<>();
  }
  RunSpec made = t.shell("cat /proc/self/cgroup");
  made.cpu_cores = 0.25;
  const std::string id = made.instance_id;
  CO_TRY_DO(co_await driver.create(made));
  CO_TRY(const RunRecord record,
         read_record<RunRecord>(fmt::format("{}/runs/{}/run.json", t.settings.data_folder, id)));
  const std::string quota = read_file(record.cgroups[0] + "/cpu.cfs_quota_us").value_or("");
  const std::string max = read_file(record.cgroups[0] + "/cpu.max").value_or("");
  EXPECT_THAT(quota + max, HasSubstr("25000"));
  CO_TRY_DO(co_await driver.start(id));
  CO_TRY_DO(co_await driver.wait(id));
  CO_TRY(const std::vector<LogChunk> lines, co_await driver.read_log(id, 100));
  std::string all;
  for (const LogChunk& line : lines) all += line.text + "\n";
  EXPECT_THAT(all, HasSubstr("mesclun/" + id));
  co_return Result<>();
}

class SmallLogTest : public ProcessDriverTest {
 public:
  SmallLogTest() { settings.log_bytes_max = 256 * 1024; }
};

DRIVER_TEST(SmallLogTest, FloodsNeitherBlockTheProgramNorFillTheDisk) {
  RunSpec made = t.shell("head -c 20000000 /dev/urandom; head -c 5000000 /dev/zero >&2; exit 5");
  const std::string where = fmt::format("{}/runs/{}", t.settings.data_folder, made.instance_id);
  CO_TRY(const RunExit exit, co_await t.run_to_end(driver, std::move(made)));
  EXPECT_EQ(exit.code, 5);
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(where)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  EXPECT_LT(bytes, 3u * 1024 * 1024);
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, ProgramMayCloseItsOutput) {
  CO_TRY(const RunExit exit,
         co_await t.run_to_end(driver, t.shell("exec >&- 2>&-; sleep 0.1; exit 6")));
  EXPECT_EQ(exit.code, 6);
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, LinesHaveTimesAndStreams) {
  const int64_t before = to_unix_nanos(t.loop.clock.wall_now());
  RunSpec made = t.shell("echo out; echo err >&2; printf unfinished");
  const std::string id = made.instance_id;
  CO_TRY_DO(co_await t.run_to_end(driver, std::move(made)));
  CO_TRY(const std::vector<LogChunk> lines, co_await driver.read_log(id, 10));
  EXPECT_EQ(lines.size(), 3u);
  for (const LogChunk& line : lines) {
    EXPECT_GE(line.time, before);
    EXPECT_EQ(line.stream, line.text == "err" ? "stderr" : "stdout") << line.text;
  }
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, RestartKeepsFilesAndRecreateDoesNot) {
  const RunSpec first = t.shell("pwd; echo kept > note");
  CO_TRY(const auto before, co_await t.output(driver, first));
  RunSpec restart = t.shell("pwd; cat note");
  restart.files_of = first.instance_id;
  CO_TRY(const auto after, co_await t.output(driver, restart));
  EXPECT_THAT(after, ElementsAre(before[0], "kept"));
  CO_TRY_DO(co_await driver.remove(first.instance_id));
  RunSpec again = t.shell("sleep 60");
  again.files_of = restart.instance_id;
  CO_TRY(const std::string holder, co_await t.launch(driver, again));
  EXPECT_TRUE(std::filesystem::exists(before[0] + "/note"));
  RunSpec second_holder = t.shell("true");
  second_holder.files_of = holder;
  EXPECT_EQ((co_await driver.create(second_holder)).code(), ErrorCode::FailedPrecondition);
  CO_TRY(const auto fresh, co_await t.output(driver, t.shell("ls")));
  EXPECT_THAT(fresh, IsEmpty());
  co_return Result<>();
}

class AdoptionTest : public ProcessDriverTest {
 public:
  AdoptionTest() { living.label["allocation"] = "a-1"; }

  RunSpec living = spec({"python3", "-c", kPythonServer, "4"});
  RunSpec ended = shell("echo last words; exit 8");
  RunSpec waiting = shell("echo late");
  RunSpec lasting = shell("echo before; while [ ! -e go ]; do sleep 0.02; done; echo after");
  uint16_t port = 0;
};

Task<Result<>> leave_three_runs(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<AdoptionTest&>(test);
  CO_TRY_DO(co_await t.launch(driver, t.living));
  CO_TRY(const std::string line, co_await t.first_line(driver, t.living.instance_id));
  t.port = static_cast<uint16_t>(std::stoi(line));
  CO_TRY_DO(co_await t.run_to_end(driver, t.ended));
  CO_TRY_DO(co_await driver.create(t.waiting));
  co_return Result<>();
}

Task<Result<>> find_three_runs(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<AdoptionTest&>(test);
  CO_TRY(const std::vector<RunInfo> found, co_await driver.list());
  EXPECT_EQ(found.size(), 3u);
  for (const RunInfo& run : found) {
    EXPECT_EQ(run.started, run.instance_id != t.waiting.instance_id);
    EXPECT_EQ(run.exit.has_value(), run.instance_id == t.ended.instance_id);
    if (run.exit) EXPECT_EQ(run.exit->code, 8);
  }
  EXPECT_EQ(found[0].label.at("allocation").as_string(), "a-1");
  CO_TRY(const std::string words, co_await t.first_line(driver, t.ended.instance_id));
  EXPECT_EQ(words, "last words");
  EXPECT_TRUE(co_await driver.connect(t.living.instance_id, t.port, true, kSoon));
  EXPECT_EQ((co_await driver.exec(t.living.instance_id, {"true"}, kSoon)).value_or(-1), 0);
  EXPECT_TRUE(driver.metadata_listener(t.living.instance_id));
  CO_TRY_DO(co_await driver.stop(t.living.instance_id, kSoon));
  CO_TRY(const RunExit exit, co_await driver.wait(t.living.instance_id));
  EXPECT_EQ(exit.code, 143);
  CO_TRY_DO(co_await driver.start(t.waiting.instance_id));
  CO_TRY(const std::string late, co_await t.first_line(driver, t.waiting.instance_id));
  EXPECT_EQ(late, "late");
  co_return Result<>();
}

TEST_F(AdoptionTest, NextDriverGoesOnWithWhatRuns) {
  keep_runs = true;
  with_driver(leave_three_runs);
  keep_runs = false;
  with_driver(find_three_runs);
}

Task<Result<>> start_and_die(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<AdoptionTest&>(test);
  CO_TRY(const std::string id, co_await t.launch(driver, t.lasting));
  CO_TRY(const std::string line, co_await t.first_line(driver, id));
  ::kill(::getpid(), SIGKILL);
  co_return Result<>();
}

Task<Result<>> go_on_after_death(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<AdoptionTest&>(test);
  const std::string id = t.lasting.instance_id;
  CO_TRY(const std::vector<RunInfo> found, co_await driver.list());
  EXPECT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].started && !found[0].exit);
  // It was handed out, but nobody can know whether it was passed on.
  CO_TRY(const std::string again, co_await t.first_line(driver, id));
  EXPECT_EQ(again, "before");
  // The application may end, and with it the command, before the command does.
  CO_TRY_DO(co_await driver.exec(id, {"touch", "go"}, kSoon));
  CO_TRY(const RunExit exit, co_await driver.wait(id));
  EXPECT_EQ(exit.code, 0);
  CO_TRY(const std::string after, co_await t.first_line(driver, id));
  EXPECT_EQ(after, "after");
  co_return Result<>();
}

TEST_F(AdoptionTest, RunsOutliveAnAgentThatIsKilled) {
  const pid_t agent = ::fork();
  if (agent == 0) {
    with_driver(start_and_die);
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(agent, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  with_driver(go_on_after_death);
}

// Goal: nothing of a run is alive once wait() has answered, though its shim could not see to it; a
// daemon in a session of its own included. Method: kill the shim, look at /proc.
WALLS_TEST(KilledShimEndsTheRun) {
  const std::string mark = fmt::format("{}4", ::getpid());
  CO_TRY(const std::string id,
         co_await t.launch(driver, t.shell(daemon_script(mark) + "sleep 60")));
  CO_TRY_DO(co_await t.until([&] { return runs_anywhere(mark); }));
  CO_TRY(const ShimRecord record, read_record<ShimRecord>(t.data("runs/" + id + "/shim.json")));
  signal_process(record.shim, SIGKILL);
  CO_TRY(const RunExit exit, co_await within(t.loop.clock, kSoon, driver.wait(id)));
  EXPECT_FALSE(runs_anywhere(mark));
  EXPECT_EQ(exit.code, 137);
  EXPECT_EQ(exit.detail, "the process that watches over it was killed");
  co_return Result<>();
}

// The same when it is the keeper that is killed: then the shim is still there.
WALLS_TEST(KilledKeeperEndsTheRun) {
  const std::string mark = fmt::format("{}5", ::getpid());
  CO_TRY(const std::string id,
         co_await t.launch(driver, t.shell(daemon_script(mark) + "sleep 60")));
  CO_TRY_DO(co_await t.until([&] { return runs_anywhere(mark); }));
  CO_TRY(const ShimRecord record, read_record<ShimRecord>(t.data("runs/" + id + "/shim.json")));
  signal_process(record.keeper.value_or(ProcessRef{}), SIGKILL);
  CO_TRY(const RunExit exit, co_await within(t.loop.clock, kSoon, driver.wait(id)));
  EXPECT_FALSE(runs_anywhere(mark));
  EXPECT_EQ(exit.code, 137);
  EXPECT_EQ(exit.detail, "the keeper of the process that watches over it was killed");
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, FolderBelongsToOneDriver) {
  const auto second = co_await ProcessDriver::open(t.loop.executor(), t.loop.clock, t.settings);
  EXPECT_FALSE(second);
  if (!second) EXPECT_EQ(second.code(), ErrorCode::FailedPrecondition);
  co_return Result<>();
}

Task<Result<>> find_nothing(ProcessDriverTest& t, ProcessDriver& driver) {
  CO_TRY(const std::vector<RunInfo> found, co_await driver.list());
  EXPECT_THAT(found, IsEmpty());
  co_return co_await t.until([&t] { return list_folder(t.data("trash")).empty(); });
}

TEST_F(ProcessDriverTest, InterruptedCreateIsForgotten) {
  std::filesystem::create_directories(data("runs/half"));
  std::filesystem::create_directories(data("files/half"));
  std::filesystem::create_directories(data("trash/old"));
  with_driver(find_nothing);
  EXPECT_THAT(list_folder(data("runs")), IsEmpty());
  EXPECT_THAT(list_folder(data("files")), IsEmpty());
}

class LeakTest : public ProcessDriverTest {
 public:
  Task<Result<>> ten_runs(ProcessDriver& driver) {
    std::vector<std::string> ids;
    for (int i = 0; i < 10; ++i) {
      RunSpec made = shell("sleep 60 & echo $$; exit 1");
      CO_TRY(std::string id, co_await launch(driver, std::move(made)));
      CO_TRY(const RunRecord record, read_record<RunRecord>(data("runs/" + id + "/run.json")));
      cgroups.insert(cgroups.end(), record.cgroups.begin(), record.cgroups.end());
      ids.push_back(std::move(id));
    }
    for (const std::string& id : ids) {
      CO_TRY_DO(co_await driver.wait(id));
      CO_TRY_DO(co_await driver.remove(id));
    }
    co_return Result<>();
  }

  std::vector<std::string> cgroups;
};

Task<Result<>> fifty_runs(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<LeakTest&>(test);
  // Once, for what is made only once.
  CO_TRY_DO(co_await t.run_to_end(driver, t.shell("true")));
  const size_t open_before = list_folder("/proc/self/fd").size();
  for (int round = 0; round < 5; ++round) CO_TRY_DO(co_await t.ten_runs(driver));
  CO_TRY_DO(co_await t.until([&t] { return list_folder(t.data("trash")).empty(); }));
  EXPECT_EQ(list_folder("/proc/self/fd").size(), open_before);
  co_return Result<>();
}

TEST_F(LeakTest, FiftyRunsLeaveNothingBehind) {
  with_driver(fifty_runs);
  for (const std::string& cgroup : cgroups) EXPECT_FALSE(std::filesystem::exists(cgroup));
  EXPECT_THAT(list_folder(data("runs")), IsEmpty());
  EXPECT_THAT(list_folder(data("files")), IsEmpty());
  // No child, zombies included.
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

DRIVER_TEST(ProcessDriverTest, SharedMemoryIsBoundedAndItsOwn) {
  RunSpec made = t.shell("df -k /dev/shm | tail -1 | awk '{print $2}'; ls -A /dev/shm");
  made.shm_bytes = 1024 * 1024;
  const std::string id = made.instance_id;
  CO_TRY(const auto lines, co_await t.output(driver, std::move(made)));
  CO_TRY(const RunRecord record, read_record<RunRecord>(t.data("runs/" + id + "/run.json")));
  if (!record.isolation.processes) {
    fmt::print("  skipped: no process namespace here\n");
    co_return Result<>();
  }
  EXPECT_THAT(lines, ElementsAre("1024"));
  co_return Result<>();
}

// A service of the machine, on its loopback.
class ServiceTest : public ProcessDriverTest {
 public:
  ServiceTest() {
    Result<Listener> listener = Listener::bind(loop.executor(), {.host = "127.0.0.1"});
    EXPECT_TRUE(listener);
    settings.services.push_back(listener->endpoint());
    server.serve(*std::move(listener));
  }
  static Task<HttpResponse> answer(HttpRequest request) {
    co_return HttpResponse{.body = "service got " + request.body};
  }
  static HttpResponse refuse(const Error&) { return HttpResponse{.status = 500}; }

  HttpServer server{loop.executor(), loop.clock, "service", {}, answer, refuse};
};

Task<Result<>> call_service(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<ServiceTest&>(test);
  const std::string url = "http://" + t.settings.services[0].to_string();
  const auto lines =
      co_await t.output(driver, t.spec({"python3", "-c",
                                        "import sys, urllib.request\n"
                                        "for i in range(3):\n"
                                        "  r = urllib.request.urlopen(sys.argv[1], b'x' * 100000)\n"
                                        "  print(len(r.read()))\n",
                                        url}));
  co_await t.server.stop();
  CO_TRY(const auto texts, lines);
  EXPECT_THAT(texts, ElementsAre("100012", "100012", "100012"));
  co_return Result<>();
}

TEST_F(ServiceTest, ServicesOfTheMachineHaveTheSameAddressInside) {
  with_driver(call_service);
}

class EgressTest : public ProcessDriverTest {
 public:
  EgressTest() {
    settings.use_egress = true;
    // Left as it was, for other users of the machine.
    forwarding = read_file(kForwarding).value_or("");
    had_table = std::system("nft list table ip mesclun >/dev/null 2>&1") == 0;
  }
  ~EgressTest() override {
    if (::geteuid() != 0) return;
    std::ofstream(kForwarding) << forwarding;
    if (!had_table) EXPECT_NE(std::system("nft delete table ip mesclun >/dev/null 2>&1"), -1);
  }

  static constexpr const char* kForwarding = "/proc/sys/net/ipv4/ip_forward";
  std::string forwarding;
  bool had_table = false;
};

DRIVER_TEST(EgressTest, OtherMachinesAreReachedOverAGateway) {
  for (const std::string& warning : driver.facts().warnings) {
    if (warning.find("do not reach other machines") == std::string::npos) continue;
    fmt::print("  skipped: {}\n", warning);
    co_return Result<>();
  }
  if (!driver.facts().own_network) co_return Result<>();
  CO_TRY(Listener listener, Listener::bind(t.loop.executor(), {.host = "0.0.0.0"}));
  // The machine's end of the pair is the nearest other machine.
  RunSpec made = t.spec({"python3", "-c",
                         "import socket, sys\n"
                         "route = open('/proc/net/route').readlines()[1].split()\n"
                         "gateway = bytes.fromhex(route[2])[::-1]\n"
                         "s = socket.create_connection((socket.inet_ntoa(gateway), sys.argv[1]))\n"
                         "s.sendall(b'out')\n",
                         std::to_string(listener.endpoint().port)});
  CO_TRY(const std::string id, co_await t.launch(driver, std::move(made)));
  CO_TRY(ConnPtr conn, co_await within(t.loop.clock, kSoon, listener.accept(t.loop.clock)));
  EXPECT_THAT(conn->peer_address(), testing::StartsWith("10.213."));
  char bytes[3];
  CO_TRY_DO(co_await read_exactly(*conn, asio::buffer(bytes)));
  EXPECT_EQ(std::string_view(bytes, 3), "out");
  co_return Result<>();
}

TEST(Egress, NumbersHaveNetworksOfTheirOwn) {
  EXPECT_EQ(egress_addresses(0).machine, "10.213.0.1");
  EXPECT_EQ(egress_addresses(63).run, "10.213.0.254");
  EXPECT_EQ(egress_addresses(64).run, "10.213.1.2");
  EXPECT_EQ(egress_addresses(16383).run, "10.213.255.254");
  EXPECT_EQ(egress_addresses(16383).interface, "msc16383");
}

// The same where the machine allows nothing.
class BareProcessDriverTest : public ProcessDriverTest {
 public:
  BareProcessDriverTest() {
    settings.use_namespaces = false;
    settings.use_cgroups = false;
  }
};

DRIVER_TEST(BareProcessDriverTest, WarningsSayWhatIsMissing) {
  const DriverFacts facts = driver.facts();
  EXPECT_FALSE(facts.own_network || facts.limits_cpu || facts.limits_memory);
  EXPECT_THAT(facts.warnings, Contains(HasSubstr("same port collide")));
  EXPECT_THAT(facts.warnings, Contains(HasSubstr("CPU is not limited")));
  EXPECT_THAT(facts.warnings, Contains(HasSubstr("memory is not limited")));
  co_return Result<>();
}

DRIVER_TEST(BareProcessDriverTest, MetadataServiceHasAPortThatTheProgramKnows) {
  const RunSpec made = t.shell("echo $SALAD_METADATA_URI");
  CO_TRY_DO(co_await driver.create(made));
  CO_TRY(const std::optional<Listener> listener, driver.metadata_listener(made.instance_id));
  CO_TRY_DO(co_await driver.start(made.instance_id));
  CO_TRY(const std::string line, co_await t.first_line(driver, made.instance_id));
  EXPECT_THAT(line, testing::StartsWith("http://127.0.0.1:"));
  CO_TRY(const Endpoint endpoint, parse_endpoint(line.substr(7)));
  EXPECT_TRUE(co_await dial(endpoint, t.loop.clock, kSoon));
  co_return Result<>();
}

}  // namespace
}  // namespace mesclun::runtime
