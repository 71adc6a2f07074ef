// What a driver finds in its folder.
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "runtime/process/process_driver_test_kit.h"
#include "runtime/walls/cgroup.h"

namespace mesclun::runtime {
namespace {

using testing::IsEmpty;

class AdoptionTest : public ProcessDriverTest {
 public:
  RunSpec living = spec({"python3", "-c", kPythonServer, "4"});
  RunSpec waiting = shell("echo late");
  RunSpec lasting = shell("echo before; while [ ! -e go ]; do sleep 0.02; done; echo after");
  uint16_t port = 0;
};

Task<Result<>> leave_two_runs(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<AdoptionTest&>(test);
  CO_TRY_DO(co_await t.launch(driver, t.living));
  CO_TRY(const std::string line, co_await t.first_line(driver, t.living.instance_id));
  t.port = static_cast<uint16_t>(std::stoi(line));
  CO_TRY_DO(co_await driver.create(t.waiting));
  co_return Result<>();
}

Task<Result<>> go_on_with_both(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<AdoptionTest&>(test);
  EXPECT_TRUE(co_await driver.connect(t.living.instance_id, t.port, true, kSoon));
  EXPECT_EQ((co_await driver.exec(t.living.instance_id, {"true"}, kSoon)).value_or(-1), 0);
  CO_TRY_DO(co_await driver.start(t.waiting.instance_id));
  CO_TRY(const std::string late, co_await t.first_line(driver, t.waiting.instance_id));
  EXPECT_EQ(late, "late");
  co_return Result<>();
}

TEST_F(AdoptionTest, NextDriverReachesWhatRunsAndStartsWhatWaits) {
  keep_runs = true;
  with_driver(leave_two_runs);
  keep_runs = false;
  with_driver(go_on_with_both);
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
  std::filesystem::permissions(settings.data_folder, std::filesystem::perms::owner_all);
  with_driver(find_nothing);
  EXPECT_THAT(list_folder(data("runs")), IsEmpty());
  EXPECT_THAT(list_folder(data("files")), IsEmpty());
}

// Of trials of what the machine allows.
std::set<std::string> trial_groups() {
  std::set<std::string> found;
  for (const std::string& path : Cgroups::of_this_machine().paths_of("")) {
    for (std::string& name : list_folder(path)) {
      if (name.starts_with("probe-")) found.insert(path + std::move(name));
    }
  }
  return found;
}

class TrialTest : public ProcessDriverTest {
 public:
  const std::set<std::string> before = trial_groups();
};

Task<Result<>> find_no_new_trial(ProcessDriverTest& t, ProcessDriver&) {
  const auto& before = static_cast<TrialTest&>(t).before;
  co_return co_await t.until([&before] { return std::ranges::includes(before, trial_groups()); });
}

TEST_F(TrialTest, OfAKilledAgentLeavesNoGroup) {
  const std::string killer = folder.path("killer");
  ASSERT_TRUE(replace_file(killer, "#!/bin/sh\nkill -9 $PPID\n", Durability::ProcessCrash, 0755));
  const pid_t agent = ::fork();
  if (agent == 0) {
    settings.shim_program = killer;
    with_driver(find_nothing);
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(agent, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  with_driver(find_no_new_trial);
}

}  // namespace
}  // namespace mesclun::runtime
