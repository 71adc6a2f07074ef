// What an application meets inside: program, environment, files, output.
#include <signal.h>

#include <filesystem>

#include "runtime/process/process_driver_test_kit.h"

namespace mesclun::runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

DRIVER_TEST(ProcessDriverTest, ExitStatusIsReported) {
  for (const std::string& warning : driver.facts().warnings) {
    fmt::print("  note: {}\n", warning);
  }
  CO_TRY(const RunExit zero, co_await t.run_to_end(driver, t.shell("exit 0")));
  EXPECT_EQ(zero.code, 0);
  EXPECT_FALSE(zero.start_failure);
  EXPECT_GT(zero.time, 0);
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
  CO_TRY(const auto fresh, co_await t.output(driver, t.shell("ls")));
  EXPECT_THAT(fresh, IsEmpty());
  co_return Result<>();
}

DRIVER_TEST(BareProcessDriverTest, WarningsSayWhatIsMissing) {
  const DriverFacts facts = driver.facts();
  EXPECT_FALSE(facts.own_network || facts.limits_cpu || facts.limits_memory);
  EXPECT_THAT(facts.warnings, Contains(HasSubstr("same port collide")));
  EXPECT_THAT(facts.warnings, Contains(HasSubstr("CPU is not limited")));
  EXPECT_THAT(facts.warnings, Contains(HasSubstr("memory is not limited")));
  co_return Result<>();
}

}  // namespace
}  // namespace mesclun::runtime
