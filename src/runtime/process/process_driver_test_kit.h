// Real processes under a real driver. What the machine refuses is skipped, with the reason.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/race.h"
#include "base/test_folder.h"
#include "base/test_loop.h"
#include "runtime/process/process_driver.h"

namespace mesclun::runtime {

inline constexpr Duration kSoon = 10s;

class ProcessDriverTest : public testing::Test {
 public:
  using Body = Task<Result<>> (*)(ProcessDriverTest& t, ProcessDriver& driver);

  ProcessDriverTest() {
    settings.data_folder = folder.path("data");
    // It changes the machine; only EgressTest does that.
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

// The same with every combination of walls; process_driver_end_test.cc names them.
#define WALLS_TEST(name)                                                                     \
  Task<Result<>> Walled##name([[maybe_unused]] ProcessDriverTest& t, ProcessDriver& driver); \
  TEST_P(Walled, name) {                                                                     \
    with_driver(Walled##name);                                                               \
  }                                                                                          \
  Task<Result<>> Walled##name([[maybe_unused]] ProcessDriverTest& t,                         \
                              [[maybe_unused]] ProcessDriver& driver)

// Where the machine allows nothing.
class BareProcessDriverTest : public ProcessDriverTest {
 public:
  BareProcessDriverTest() {
    settings.use_namespaces = false;
    settings.use_cgroups = false;
  }
};

inline constexpr const char* kPythonServer =
    "import http.server, socket, sys\n"
    "class Server(http.server.HTTPServer):\n"
    "  address_family = socket.AF_INET6 if sys.argv[1] == '6' else socket.AF_INET\n"
    "s = Server(('::1' if sys.argv[1] == '6' else '127.0.0.1', 0),\n"
    "           http.server.SimpleHTTPRequestHandler)\n"
    "print(s.server_address[1], flush=True)\n"
    "s.serve_forever()\n";

// A shell that leaves a daemon behind: another session, no parent, output closed. Its name shows
// in /proc while it lives.
inline std::string daemon_script(const std::string& mark) {
  return fmt::format("(setsid sh -c 'exec sleep 1000.{}' >/dev/null 2>&1 &) ; ", mark);
}
inline bool runs_anywhere(const std::string& mark) {
  for (const std::string& name : list_folder("/proc")) {
    const Result<std::string> line = read_file("/proc/" + name + "/cmdline");
    if (line && line->starts_with("sleep") && line->find("1000." + mark) != std::string::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace mesclun::runtime
