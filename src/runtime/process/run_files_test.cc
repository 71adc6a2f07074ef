#include "runtime/process/run_files.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>

#include "base/test_folder.h"
#include "runtime/process/run_files_log.h"
#include "runtime/walls/cgroup.h"

namespace mesclun::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> texts(const std::vector<LogChunk>& lines) {
  std::vector<std::string> out;
  for (const LogChunk& line : lines) out.push_back(line.text);
  return out;
}

TEST(RunFiles, NamesThatLeaveTheFolderAreNotSafe) {
  EXPECT_TRUE(is_safe_name("3f2c-a_b.c"));
  for (const char* name : {"", ".", "..", "a/b", "a b", ".x", "a\n"})
    EXPECT_FALSE(is_safe_name(name));
  EXPECT_FALSE(is_safe_name(std::string(101, 'a')));
}

TEST(RunFiles, RecordsSurviveTheTripThroughTheDisk) {
  TestFolder folder;
  RunRecord record{.instance_id = "a", .command = {"x", "y"}, .isolation = {.network = true}};
  record.environment["KEY"] = "v=\n";
  record.label["group"] = "g";
  ASSERT_TRUE(write_record(folder.path() + "/run.json", record));
  const Result<RunRecord> back = read_record<RunRecord>(folder.path() + "/run.json");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json_text(*back), to_json_text(record));
}

TEST(RunFiles, ProcessIsKnownByItsStart) {
  const Result<ProcessRef> self = process_ref(::getpid());
  ASSERT_TRUE(self);
  EXPECT_TRUE(is_alive(*self));
  ProcessRef earlier = *self;
  earlier.start_ticks -= 1;
  EXPECT_FALSE(is_alive(earlier));
  EXPECT_EQ(open_process(earlier).code(), ErrorCode::NotFound);
  ProcessRef other_boot = *self;
  other_boot.boot_id = "x";
  EXPECT_FALSE(is_alive(other_boot));
}

TEST(RunFiles, ProcessNamesDoNotConfuse) {
  const std::optional<ProcessStat> stat =
      parse_process_stat("77 (a) b) R 5 6 7 0 -1 4194308 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 77);
  EXPECT_EQ(stat->state, 'R');
  EXPECT_EQ(stat->parent, 5);
  EXPECT_EQ(stat->session, 7);
  EXPECT_EQ(stat->start_ticks, 123456);
  EXPECT_EQ(stat->cpu_ticks, 5 + 6);
  EXPECT_EQ(stat->children_ticks, 7 + 8);
  EXPECT_EQ(stat->resident_pages, 2);
  EXPECT_FALSE(parse_process_stat("77 (a"));
  EXPECT_FALSE(parse_process_stat("77 (a) R 5"));
}

TEST(RunFiles, UsageIsThatOfAllBelowAndOfWhatTheyWaitedFor) {
  const int64_t tick = 1'000'000'000 / ::sysconf(_SC_CLK_TCK);
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const std::vector<ProcessStat> all{
      {.pid = 9, .parent = 1, .cpu_ticks = 1000, .children_ticks = 5, .resident_pages = 1000},
      {.pid = 10, .parent = 9, .cpu_ticks = 20, .children_ticks = 3, .resident_pages = 7},
      {.pid = 11, .parent = 10, .cpu_ticks = 100, .resident_pages = 2},
      {.pid = 12, .parent = 1, .cpu_ticks = 7777, .resident_pages = 7777}};
  const TreeUsage usage = usage_below(9, all);
  EXPECT_EQ(usage.cpu_time, std::chrono::nanoseconds((5 + 20 + 3 + 100) * tick));
  EXPECT_EQ(usage.memory_bytes, 9 * page);
}

TEST(RunFiles, ZombieIsNotAlive) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  const Result<ProcessRef> process = process_ref(pid);
  ASSERT_TRUE(process);
  EXPECT_FALSE(is_alive(*process));
  ::waitpid(pid, nullptr, 0);
}

TEST(RunLog, LinesKeepStreamTimeAndOrder) {
  TestFolder folder;
  LogWriter writer(folder.path(), 1 << 20);
  LogReader reader(folder.path());
  EXPECT_TRUE(reader.read(10).empty());
  writer.write('o', "one\ntw", 100);
  writer.write('e', "bad\n", 200);
  writer.write('o', "o\r\n\n", 300);
  writer.write('o', "rest", 400);
  const std::vector<LogChunk> lines = reader.read(10);
  EXPECT_THAT(texts(lines), ElementsAre("one", "bad", "two", ""));
  EXPECT_EQ(lines[1].stream, "stderr");
  EXPECT_EQ(lines[1].time, 200);
  EXPECT_EQ(lines[2].stream, "stdout");
  writer.finish(500);
  EXPECT_THAT(texts(reader.read(10)), ElementsAre("rest"));
  EXPECT_TRUE(reader.read(10).empty());
}

TEST(RunLog, AtMostTheAskedNumberOfLines) {
  TestFolder folder;
  LogWriter writer(folder.path(), 1 << 20);
  LogReader reader(folder.path());
  writer.write('o', "a\nb\nc\n", 1);
  EXPECT_THAT(texts(reader.read(2)), ElementsAre("a", "b"));
  EXPECT_THAT(texts(reader.read(2)), ElementsAre("c"));
}

TEST(RunLog, LongLinesAreCutBetweenCharacters) {
  TestFolder folder;
  LogWriter writer(folder.path(), 1 << 20);
  LogReader reader(folder.path());
  std::string text = "x";
  while (text.size() < 25'000) text += "é";
  writer.write('o', text + "\n", 1);
  writer.write('o', std::string(kLogLineBytesMax, 'y') + "\n", 1);
  const std::vector<LogChunk> lines = reader.read(10);
  ASSERT_EQ(lines.size(), 4u);
  for (const LogChunk& line : lines) EXPECT_LE(line.text.size(), kLogLineBytesMax);
  EXPECT_EQ(lines[0].text + lines[1].text + lines[2].text, text);
  EXPECT_EQ(lines[3].text, std::string(kLogLineBytesMax, 'y'));
}

TEST(RunLog, OnlyTwoFilesAreKeptAndTheLossIsTold) {
  TestFolder folder;
  LogWriter writer(folder.path(), 1000);
  LogReader reader(folder.path());
  writer.write('o', "first\n", 1);
  EXPECT_THAT(texts(reader.read(10)), ElementsAre("first"));
  for (int i = 0; i < 100; ++i) writer.write('o', fmt::format("{:090}\n", i), i);
  EXPECT_EQ(list_folder(folder.path()).size(), 2u);
  const std::vector<LogChunk> lines = reader.read(1000);
  EXPECT_THAT(lines[0].text,
              HasSubstr(fmt::format("{} lines are missing here", 101 - lines.size())));
  EXPECT_EQ(lines.back().text, fmt::format("{:090}", 99));
  EXPECT_LT(lines.size(), 25u);
}

TEST(RunLog, RotationAloneLosesNothing) {
  TestFolder folder;
  LogWriter writer(folder.path(), 1000);
  LogReader reader(folder.path());
  std::vector<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    writer.write('o', fmt::format("line {}\n", i), i);
    if (i % 20 == 0) {
      for (LogChunk& line : reader.read(1000)) seen.push_back(line.text);
    }
  }
  for (LogChunk& line : reader.read(1000)) seen.push_back(line.text);
  ASSERT_EQ(seen.size(), 200u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], fmt::format("line {}", i));
}

TEST(RunLog, NextReaderRepeatsOnlyTheLastCall) {
  TestFolder folder;
  LogWriter writer(folder.path(), 1 << 20);
  writer.write('o', "a\nb\nc\n", 1);
  LogReader killed(folder.path());
  EXPECT_THAT(texts(killed.read(1)), ElementsAre("a"));
  EXPECT_THAT(texts(killed.read(1)), ElementsAre("b"));
  LogReader next(folder.path());
  EXPECT_THAT(texts(next.read(10)), ElementsAre("b", "c"));
}

TEST(RunLog, FullDiskLosesLinesAndSaysSo) {
  // A folder that does not exist yet refuses writes as a full disk does.
  TestFolder folder;
  const std::string path = folder.path() + "/later";
  LogWriter writer(path, 1000);
  writer.write('o', "lost\nlost\n", 1);
  ::mkdir(path.c_str(), 0700);
  writer.write('o', "kept\n", 2);
  LogReader reader(path);
  EXPECT_THAT(texts(reader.read(10)), ElementsAre(HasSubstr("2 lines are missing here"), "kept"));
}

TEST(Cgroups, VersionOneMountsAreFoundByController) {
  const CgroupMounts found = find_cgroup_mounts(
      "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
      "31 25 0:27 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
      "32 25 0:28 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
      "33 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
      [](const std::string&) { return "cpu memory"; });
  EXPECT_EQ(found.cpu, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(found.memory, "/sys/fs/cgroup/memory");
  EXPECT_FALSE(found.cpu_v2);
  EXPECT_FALSE(found.memory_v2);
}

TEST(Cgroups, VersionTwoCountsOnlyWithTheController) {
  const char* mountinfo = "33 25 0:29 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
  CgroupMounts found =
      find_cgroup_mounts(mountinfo, [](const std::string&) { return "cpuset cpu io memory\n"; });
  EXPECT_EQ(found.cpu, "/sys/fs/cgroup");
  EXPECT_TRUE(found.cpu_v2);
  EXPECT_TRUE(found.memory_v2);
  found = find_cgroup_mounts(mountinfo, [](const std::string&) { return "cpuset memory\n"; });
  EXPECT_EQ(found.cpu, "");
  EXPECT_EQ(found.memory, "/sys/fs/cgroup");
}

}  // namespace
}  // namespace mesclun::runtime
