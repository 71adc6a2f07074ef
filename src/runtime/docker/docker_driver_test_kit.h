// For tests of the Docker driver: one over an engine of the tests' own, whose image has a shell.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/race.h"
#include "runtime/docker/docker_driver.h"
#include "runtime/docker/engine_test_kit.h"

namespace mesclun::runtime {

inline constexpr Duration kSoon = 20s;
inline constexpr int64_t kMiB = 1024 * 1024;

// Needs root and the engine of docker.io.
class DockerTest : public testing::Test {
 protected:
  void SetUp() override {
    const Result<Endpoint> engine = TestEngine::get();
    if (!engine) GTEST_SKIP() << engine.error().message;
    settings_.data_folder = folder_.path("data");
    settings_.use_egress = false;
    settings_.engine = *engine;
  }

  using Body = std::function<Task<Result<>>(DockerDriver&)>;
  void run(Body body) {
    if (!IsSkipped()) loop_.run(open_and_run(std::move(body)));
  }
  RunSpec spec(std::string script) {
    return {.instance_id = fmt::format("run-{}", ++number_),
            .image = kTestImage,
            .command = {"sh", "-c", std::move(script)},
            .memory_bytes = 64 * kMiB};
  }
  // Its lines and its end.
  Task<Result<RunExit>> run_to_end(DockerDriver& driver, RunSpec spec,
                                   std::vector<std::string>& lines) {
    const std::string id = spec.instance_id;
    CO_TRY_DO(co_await driver.create(std::move(spec)));
    CO_TRY_DO(co_await driver.start(id));
    CO_TRY(const RunExit exit, co_await within(loop_.clock, kSoon, driver.wait(id)));
    CO_TRY(const std::vector<LogChunk> chunks, co_await driver.read_log(id, 1000));
    lines.clear();
    for (const LogChunk& chunk : chunks) lines.push_back(chunk.text);
    co_return exit;
  }

  RealLoop loop_;
  const TestFolder folder_;
  DockerDriverSettings settings_;

 private:
  Task<Result<>> open_and_run(Body body) {
    CO_TRY(const auto driver,
           co_await DockerDriver::open(loop_.executor(), loop_.clock, settings_));
    Result<> result = co_await body(*driver);
    CO_TRY(const std::vector<RunInfo> left, co_await driver->list());
    for (const RunInfo& info : left) {
      EXPECT_TRUE(co_await driver->stop(info.instance_id, 0s));
      EXPECT_TRUE(co_await driver->remove(info.instance_id));
    }
    co_await driver->close();
    co_return result;
  }

  int number_ = 0;
};

}  // namespace mesclun::runtime
