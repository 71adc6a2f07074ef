// What only containers have. Needs root and the engine of docker.io.
#include "runtime/docker/docker_driver.h"

#include <gmock/gmock.h>

#include "base/race.h"
#include "runtime/docker/engine_test_kit.h"
#include "runtime/docker/images.h"

namespace mesclun::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Duration kSoon = 20s;
constexpr int64_t kMiB = 1024 * 1024;

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

TEST_F(DockerTest, AnImageThatIsNotThereIsNotFound) {
  run([this](DockerDriver& driver) -> Task<Result<>> {
    RunSpec absent = spec("true");
    absent.image = "mesclun-test:none";
    const Result<> made = co_await driver.create(std::move(absent));
    EXPECT_EQ(made.code(), ErrorCode::NotFound);
    EXPECT_THAT(made.error().message, HasSubstr("mesclun-test:none"));
    CO_TRY(const std::vector<RunInfo> left, co_await driver.list());
    EXPECT_TRUE(left.empty());
    EXPECT_TRUE(list_folder(settings_.data_folder + "/files").empty());
    co_return Result<>();
  });
}

TEST_F(DockerTest, TheEnvironmentIsThatOfTheImageAndOfTheRunAndInNoInspection) {
  run([this](DockerDriver& driver) -> Task<Result<>> {
    RunSpec told = spec("echo $OF_IMAGE $SECRET; id -u; cat /proc/1/comm");
    told.environment["SECRET"] = "of-the-run";
    std::vector<std::string> lines;
    CO_TRY(const RunExit exit, co_await run_to_end(driver, told, lines));
    EXPECT_EQ(exit.code, 0);
    EXPECT_THAT(lines, ElementsAre("yes of-the-run", "0", "start"));
    Engine engine(loop_.clock, settings_.engine);
    CO_TRY(const json::value all, co_await engine.call({.target = "/containers/json?all=1"}));
    for (const json::value& item : all.as_array()) {
      const std::string id(item.at("Id").as_string());
      CO_TRY(const json::value known,
             co_await engine.call({.target = "/containers/" + id + "/json"}));
      EXPECT_EQ(json::serialize(known).find("of-the-run"), std::string::npos);
    }
    co_return Result<>();
  });
}

TEST_F(DockerTest, ARunThatTakesTooMuchMemoryIsToldApart) {
  run([this](DockerDriver& driver) -> Task<Result<>> {
    std::vector<std::string> lines;
    CO_TRY(const RunExit exit,
           co_await run_to_end(driver, spec("x=0123456789; while :; do x=$x$x; done"), lines));
    EXPECT_EQ(exit.code, 137);
    EXPECT_THAT(exit.detail, HasSubstr("more than its 64 MiB"));
    CO_TRY(const RunExit killed, co_await run_to_end(driver, spec("kill -9 $$"), lines));
    EXPECT_EQ(killed.code, 137);
    EXPECT_EQ(killed.detail, "");
    co_return Result<>();
  });
}

TEST_F(DockerTest, UsageIsToldOfWhatRuns) {
  run([this](DockerDriver& driver) -> Task<Result<>> {
    std::vector<std::string> lines;
    CO_TRY_DO(co_await run_to_end(driver, spec("true"), lines));
    const RunSpec busy = spec("x=$(head -c 20000000 /dev/zero | tr '\\0' x); while :; do :; done");
    CO_TRY_DO(co_await driver.create(busy));
    CO_TRY_DO(co_await driver.start(busy.instance_id));
    RunUsage used;
    const TimePoint end = loop_.clock.now() + kSoon;
    while (loop_.clock.now() < end &&
           (used.cpu_time.value_or(0s) < 100ms || used.memory_bytes.value_or(0) < 20'000'000)) {
      CO_TRY_DO(co_await loop_.clock.sleep_for(20ms));
      CO_TRY(const std::vector<RunUsage> all, co_await driver.usage());
      EXPECT_EQ(all.size(), 1u) << "what has ended uses nothing";
      if (all.size() == 1) used = all[0];
    }
    EXPECT_EQ(used.instance_id, busy.instance_id);
    EXPECT_GE(used.cpu_time.value_or(0s), 100ms);
    EXPECT_GE(used.memory_bytes.value_or(0), 20'000'000);
    EXPECT_LT(used.memory_bytes.value_or(0), 64 * kMiB) << "of nothing else";
    co_return Result<>();
  });
}

// Files, files that were deleted and are open, and what lies in a volume that the image declares.
TEST_F(DockerTest, WhoWritesTooMuchIsToldWhereverItLies) {
  settings_.disk_period = 50ms;
  run([this](DockerDriver& driver) -> Task<Result<>> {
    EXPECT_TRUE(driver.facts().watches_disk);
    const std::string zeros = "dd if=/dev/zero bs=1M count=30 2>/dev/null";
    for (const std::string& script :
         {zeros + " >/file", "exec 3>/file; rm /file; " + zeros + " >&3",
          zeros + " >/volume/file"}) {
      RunSpec greedy = spec(script + "; sleep 600");
      greedy.disk_bytes = 20 * kMiB;
      const std::string id = greedy.instance_id;
      CO_TRY_DO(co_await driver.create(greedy));
      CO_TRY_DO(co_await driver.start(id));
      CO_TRY(const DiskExcess excess, co_await within(loop_.clock, kSoon, driver.disk_excess(id)));
      EXPECT_EQ(excess.bytes_max, 20 * kMiB);
      EXPECT_GT(excess.used_bytes, 20 * kMiB);
      CO_TRY_DO(co_await driver.stop(id, 0s));
      EXPECT_EQ((co_await driver.disk_excess(id)).code(), ErrorCode::FailedPrecondition);
    }
    co_return Result<>();
  });
}

TEST_F(DockerTest, ADiskCanGrowAndMemoryIsNoDisk) {
  settings_.disk_period = 50ms;
  run([this](DockerDriver& driver) -> Task<Result<>> {
    RunSpec modest = spec(
        "dd if=/dev/zero of=/file bs=1M count=10; dd if=/dev/zero of=/dev/shm/x bs=1M count=30; "
        "echo written; sleep 600");
    modest.disk_bytes = 20 * kMiB;
    const std::string id = modest.instance_id;
    CO_TRY_DO(co_await driver.create(modest));
    CO_TRY_DO(co_await driver.start(id));
    EXPECT_EQ((co_await within(loop_.clock, 1s, driver.disk_excess(id))).code(),
              ErrorCode::DeadlineExceeded);
    CO_TRY_DO(co_await driver.set_limits(
        id, {.cpu_cores = 1, .memory_bytes = 64 * kMiB, .disk_bytes = 5 * kMiB}));
    CO_TRY(const DiskExcess excess, co_await within(loop_.clock, kSoon, driver.disk_excess(id)));
    EXPECT_EQ(excess.bytes_max, 5 * kMiB);
    co_return Result<>();
  });
}

TEST(DiskBytes, SuitTheImageWhereNobodySays) {
  constexpr int64_t kGigabyte = 1'000'000'000;
  EXPECT_EQ(default_disk_bytes(0), 10 * kGigabyte);
  EXPECT_EQ(default_disk_bytes(kGigabyte), 10 * kGigabyte);
  EXPECT_EQ(default_disk_bytes(20 * kGigabyte), 45 * kGigabyte);
  EXPECT_EQ(disk_bytes_max({.disk_bytes = 7, .image_bytes = 20 * kGigabyte}), 7);
  EXPECT_EQ(disk_bytes_max({.disk_bytes = 0, .image_bytes = 20 * kGigabyte}), 45 * kGigabyte);
  EXPECT_EQ(disk_bytes_max({}), std::nullopt) << "of an older mesclun";
}

TEST_F(DockerTest, NothingMoreCanBeAskedForOnceTheProgramRuns) {
  run([this](DockerDriver& driver) -> Task<Result<>> {
    std::vector<std::string> lines;
    RunSpec curious = spec(
        "sleep 0.5; touch /.mesclun/door/x 2>/dev/null || "
        "echo cannot write; test -e /.mesclun/door/socket || echo no socket");
    CO_TRY_DO(co_await run_to_end(driver, curious, lines));
    EXPECT_EQ(lines.back(), "no socket");
    EXPECT_THAT(lines, testing::Contains("cannot write"));
    co_return Result<>();
  });
}

TEST_F(DockerTest, ARestartGoesOnInTheSameContainerWithLinesOfItsOwn) {
  run([this](DockerDriver& driver) -> Task<Result<>> {
    std::vector<std::string> lines;
    RunSpec first = spec("echo first > note; cat note");
    CO_TRY_DO(co_await run_to_end(driver, first, lines));
    EXPECT_THAT(lines, ElementsAre("first"));
    RunSpec second = spec("cat note; echo $ROUND");
    second.files_of = first.instance_id;
    second.environment["ROUND"] = "2";
    CO_TRY_DO(co_await run_to_end(driver, second, lines));
    EXPECT_THAT(lines, ElementsAre("first", "2"));
    co_return Result<>();
  });
}

TEST_F(DockerTest, AContainerThatSomebodyRemovedHasEnded) {
  run([this](DockerDriver& driver) -> Task<Result<>> {
    const RunSpec lost = spec("sleep 600");
    CO_TRY_DO(co_await driver.create(lost));
    CO_TRY_DO(co_await driver.start(lost.instance_id));
    Engine engine(loop_.clock, settings_.engine);
    CO_TRY(const json::value all, co_await engine.call({.target = "/containers/json"}));
    for (const json::value& item : all.as_array()) {
      const std::string id(item.at("Id").as_string());
      CO_TRY_DO(co_await engine.call(
          {.method = "DELETE", .target = "/containers/" + id + "?force=true"}));
    }
    CO_TRY(const RunExit exit, co_await within(loop_.clock, kSoon, driver.wait(lost.instance_id)));
    EXPECT_EQ(exit.code, 137);
    co_return Result<>();
  });
}

class DockerImageTest : public DockerTest {
 protected:
  Task<Result<std::unique_ptr<DockerDriver>>> open() {
    co_return co_await DockerDriver::open(loop_.executor(), loop_.clock, settings_);
  }

  Task<Result<>> pull_then_look_again() {
    CO_TRY(const uint16_t port, free_port());
    TestRegistry registry(port);
    const std::string idle = registry.push("idle:1");
    const std::string used = registry.push("used:1");
    const std::string theirs = registry.push("theirs:1");
    const std::string had = registry.push("had:1");
    EXPECT_EQ(TestEngine::docker({"pull", "-q", had}), 0);
    CO_TRY(std::unique_ptr<DockerDriver> driver, co_await open());
    for (const std::string& image : {idle, used, theirs, had}) {
      CO_TRY(const bool here, co_await driver->has_image(image));
      EXPECT_EQ(here, image == had) << image;
      CO_TRY_DO(co_await driver->pull(image, {}, [](double) {}));
    }
    RunSpec lives = spec("sleep 600");
    lives.image = used;
    CO_TRY_DO(co_await driver->create(lives));
    EXPECT_EQ(TestEngine::docker({"create", "--name", "of-the-owner", theirs, "true"}), 0);
    co_await driver->close();
    driver.reset();

    // Its successor keeps nothing.
    settings_.image_cache.age_max = 1ms;
    CO_TRY(driver, co_await open());
    CO_TRY_DO(co_await until_gone(idle));
    EXPECT_TRUE(co_await is_there(used)) << "a run has it";
    EXPECT_TRUE(co_await is_there(had)) << "it was there before";
    EXPECT_TRUE(co_await is_there(theirs)) << "a container of its owner has it";
    EXPECT_EQ(TestEngine::docker({"rm", "of-the-owner"}), 0);
    CO_TRY_DO(co_await until_gone(theirs));
    CO_TRY_DO(co_await driver->stop(lives.instance_id, 0s));
    CO_TRY_DO(co_await driver->remove(lives.instance_id));
    CO_TRY_DO(co_await until_gone(used));
    EXPECT_TRUE(co_await is_there(had));
    co_await driver->close();
    EXPECT_EQ(TestEngine::docker({"rmi", had}), 0);
    co_return Result<>();
  }

  Task<Result<>> end_private_runs() {
    CO_TRY(const uint16_t port, free_port());
    TestRegistry registry(port);
    const std::string secret = registry.push("secret:1");
    const std::string wanted_later = registry.push("wanted-later:1");
    const std::string cached = registry.push("cached:1");
    const std::string everybodys = registry.push("everybodys:1");
    CO_TRY(std::unique_ptr<DockerDriver> driver, co_await open());
    std::vector<std::string> runs;
    for (const std::string& image : {secret, wanted_later, cached, everybodys}) {
      RegistryAccess access{.registry = "127.0.0.1", .user = "ann", .password = "x"};
      if (image == everybodys) access = {};
      CO_TRY_DO(co_await driver->pull(image, std::move(access), [](double) {}));
      RunSpec lives = spec("sleep 600");
      lives.image = image;
      lives.image_caching = image == cached || image == secret;
      CO_TRY_DO(co_await driver->create(lives));
      runs.push_back(lives.instance_id);
    }
    // Their groups change their minds.
    CO_TRY_DO(driver->set_image_caching(runs[0], false));
    CO_TRY_DO(driver->set_image_caching(runs[1], true));
    EXPECT_EQ(driver->set_image_caching("nobody", true).code(), ErrorCode::NotFound);
    for (const std::string& id : runs) {
      CO_TRY_DO(co_await driver->stop(id, 0s));
      CO_TRY_DO(co_await driver->remove(id));
    }
    co_await driver->close();
    driver.reset();

    // What it wrote down is enough for its successor.
    settings_.image_cache.private_age_max = 1ms;
    CO_TRY(driver, co_await open());
    CO_TRY_DO(co_await until_gone(secret));
    for (const std::string& image : {wanted_later, cached, everybodys}) {
      EXPECT_TRUE(co_await is_there(image)) << image;
      EXPECT_EQ(TestEngine::docker({"rmi", image}), 0);
    }
    co_await driver->close();
    co_return Result<>();
  }

 private:
  Result<uint16_t> free_port() {
    TRY(Listener free, Listener::bind(loop_.executor(), {.host = "127.0.0.1"}));
    const uint16_t port = free.endpoint().port;
    free.close();
    return port;
  }
  // Without asking the driver, which would note that it is needed.
  Task<bool> is_there(std::string image) {
    Engine engine(loop_.clock, settings_.engine);
    const Result<json::value> known = co_await inspect_image(engine, image);
    co_return known.has_value();
  }
  Task<Result<>> until_gone(std::string image) {
    const TimePoint end = loop_.clock.now() + kSoon;
    while (co_await is_there(image)) {
      if (loop_.clock.now() > end) co_return Error::deadline(image + " is still there");
      CO_TRY_DO(co_await loop_.clock.sleep_for(50ms));
    }
    co_return Result<>();
  }
};

TEST_F(DockerImageTest, WhatItPulledGoesWhenNobodyNeedsIt) {
  if (::access("/usr/bin/docker-registry", X_OK) != 0) GTEST_SKIP() << "no docker-registry";
  settings_.image_period = 50ms;
  if (!IsSkipped()) loop_.run(pull_then_look_again(), 120s);
}

TEST_F(DockerImageTest, WhatCredentialsBroughtGoesSoonUnlessItsGroupWantsItCached) {
  if (::access("/usr/bin/docker-registry", X_OK) != 0) GTEST_SKIP() << "no docker-registry";
  settings_.image_period = 50ms;
  if (!IsSkipped()) loop_.run(end_private_runs(), 120s);
}

// Far more than is held: what is not read stays with the engine, within the size of its files.
TEST_F(DockerTest, OutputWithoutEndIsBounded) {
  run([this](DockerDriver& driver) -> Task<Result<>> {
    const RunSpec loud = spec("while :; do echo 0123456789012345678901234567890123456789; done");
    CO_TRY_DO(co_await driver.create(loud));
    CO_TRY_DO(co_await driver.start(loud.instance_id));
    size_t lines = 0;
    for (int i = 0; i < 40; ++i) {
      CO_TRY_DO(co_await loop_.clock.sleep_for(20ms));
      CO_TRY(const std::vector<LogChunk> some, co_await driver.read_log(loud.instance_id, 10'000));
      EXPECT_LE(some.size(), 2 * DockerLog::kLinesMax);
      lines += some.size();
    }
    EXPECT_GT(lines, 0u);
    co_return Result<>();
  });
}

}  // namespace
}  // namespace mesclun::runtime
