// What only containers have.
#include <gmock/gmock.h>

#include "runtime/docker/docker_driver_test_kit.h"

namespace mesclun::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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
