// How runs end, and that nothing of them is left, with every combination of walls.
#include <signal.h>

#include "runtime/process/process_driver_test_kit.h"

namespace mesclun::runtime {
namespace {

using testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(ProcessDriver, Walled,
                         testing::Values(Walls{true, true}, Walls{true, false}, Walls{false, true},
                                         Walls{false, false}),
                         [](const testing::TestParamInfo<Walls>& info) {
                           return std::string(info.param.namespaces ? "Namespaces"
                                                                    : "NoNamespaces") +
                                  (info.param.cgroups ? "AndGroups" : "NoGroups");
                         });

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

}  // namespace
}  // namespace mesclun::runtime
