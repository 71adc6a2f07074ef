// What a run may take of the machine, and that it gives all of it back.
#include <sys/wait.h>

#include <filesystem>

#include "runtime/process/process_driver_test_kit.h"

namespace mesclun::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
  const std::string shares = read_file(record.cgroups[0] + "/cpu.shares").value_or("");
  const std::string weight = read_file(record.cgroups[0] + "/cpu.weight").value_or("");
  EXPECT_THAT(shares + weight, testing::AnyOf("256\n", "25\n")) << "by its cores";
  CO_TRY_DO(co_await driver.start(id));
  CO_TRY_DO(co_await driver.wait(id));
  CO_TRY(const std::vector<LogChunk> lines, co_await driver.read_log(id, 100));
  std::string all;
  for (const LogChunk& line : lines) all += line.text + "\n";
  EXPECT_THAT(all, HasSubstr("mesclun/" + id));
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, UsageIsToldOfWhatRuns) {
  CO_TRY_DO(co_await t.run_to_end(driver, t.shell("true")));
  CO_TRY(const std::string id,
         co_await t.launch(driver, t.spec({"python3", "-u", "-c",
                                           "x = bytearray(b'1' * 40_000_000)\nprint(len(x))\n"
                                           "while True: pass"})));
  CO_TRY_DO(co_await t.first_line(driver, id));
  std::vector<RunUsage> usage;
  Duration used{};
  const TimePoint end = t.loop.clock.now() + kSoon;
  while (used < 100ms && t.loop.clock.now() < end) {
    CO_TRY(usage, co_await driver.usage());
    if (usage.size() == 1 && usage[0].cpu_time) used = *usage[0].cpu_time;
    CO_TRY_DO(co_await t.loop.clock.sleep_for(20ms));
  }
  EXPECT_EQ(usage.size(), 1u) << "what has ended uses nothing";
  EXPECT_GE(used, 100ms);
  EXPECT_GT(usage.at(0).memory_bytes.value_or(0), 40'000'000);
  EXPECT_EQ(usage.at(0).instance_id, id);
  co_return Result<>();
}

DRIVER_TEST(ProcessDriverTest, LimitsChangeUnderALivingProgram) {
  if (!driver.facts().limits_memory) {
    fmt::print("  skipped: {}\n", driver.facts().warnings.back());
    co_return Result<>();
  }
  RunSpec made = t.shell("sleep 60");
  const std::string id = made.instance_id;
  made.memory_bytes = 100 * 1024 * 1024;
  CO_TRY_DO(co_await driver.create(made));
  CO_TRY_DO(co_await driver.start(id));
  CO_TRY(const RunRecord record, read_record<RunRecord>(t.data("runs/" + id + "/run.json")));
  for (const int64_t mb : {300, 50}) {
    const RunLimits limits{.cpu_cores = 0.5, .memory_bytes = mb * 1024 * 1024};
    CO_TRY_DO(co_await driver.set_limits(id, limits));
    std::string held;
    for (const std::string& group : record.cgroups) {
      held += read_file(group + "/memory.max").value_or("");
      held += read_file(group + "/memory.limit_in_bytes").value_or("");
    }
    EXPECT_THAT(held, HasSubstr(std::to_string(limits.memory_bytes)));
  }
  CO_TRY_DO(co_await driver.stop(id, 0s));
  co_return Result<>();
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

}  // namespace
}  // namespace mesclun::runtime
