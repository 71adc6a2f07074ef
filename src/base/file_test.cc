#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>

#include "base/test_folder.h"

namespace mesclun {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

mode_t mode_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 07777;
}

TEST(Descriptor, ClosesOnceAndKeepsErrno) {
  Descriptor first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = first.get();
  Descriptor second = std::move(first);
  EXPECT_FALSE(first);
  EXPECT_EQ(second.get(), number);
  errno = EPIPE;
  second.reset();
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(File, ReadsWholeWithinItsBound) {
  const TestFolder folder;
  const std::string path = folder.path("x");
  const std::string text(100'000, 'x');
  ASSERT_TRUE(replace_file(path, text, Durability::ProcessCrash));
  EXPECT_EQ(read_file(path).value(), text);
  EXPECT_EQ(read_file(path, 100'000).value(), text);
  EXPECT_EQ(read_file(path, 99'999).code(), ErrorCode::OutOfRange);
  // Files of the kernel say that they are empty.
  EXPECT_FALSE(read_file("/proc/self/stat").value_or("").empty());
}

TEST(File, ErrorsNameThePathAndWhatTheSystemSaid) {
  const TestFolder folder;
  const Error missing = read_file(folder.path("none")).error();
  EXPECT_EQ(missing.code, ErrorCode::NotFound);
  EXPECT_EQ(missing.message, "cannot open " + folder.path("none") + ": No such file or directory");
  const Error is_folder = read_file(folder.path()).error();
  EXPECT_EQ(is_folder.code, ErrorCode::Unavailable);
  EXPECT_EQ(is_folder.message, "cannot read " + folder.path() + ": Is a directory");
  EXPECT_EQ(write_into(folder.path("none"), "1").code(), ErrorCode::NotFound);
  EXPECT_EQ(replace_file(folder.path("none/x"), "", Durability::PowerLoss).code(),
            ErrorCode::NotFound);
  EXPECT_EQ(write_into("/dev/full", "1").code(), ErrorCode::ResourceExhausted);
}

TEST(File, FirstLineIsWithoutBlanksAndNotEmpty) {
  const TestFolder folder;
  const std::string path = folder.path("token");
  for (const char* text : {"a b", "a b\n", " a b \r\nmore\n", "a b\t"}) {
    ASSERT_TRUE(replace_file(path, text, Durability::ProcessCrash));
    EXPECT_EQ(read_first_line(path).value(), "a b");
  }
  for (const char* text : {"", "\n", " \nmore"}) {
    ASSERT_TRUE(replace_file(path, text, Durability::ProcessCrash));
    EXPECT_EQ(read_first_line(path).code(), ErrorCode::InvalidArgument);
  }
  EXPECT_EQ(read_first_line(folder.path("none")).code(), ErrorCode::NotFound);
}

TEST(File, ReplacedFilesHaveTheNewTextAndTheirOwnersMode) {
  const TestFolder folder;
  const std::string path = folder.path("x");
  for (const Durability durability : {Durability::ProcessCrash, Durability::PowerLoss}) {
    ASSERT_TRUE(replace_file(path, "a longer text", durability));
    ASSERT_TRUE(replace_file(path, "two", durability));
    EXPECT_EQ(read_file(path).value(), "two");
    EXPECT_EQ(mode_of(path), 0600u);
  }
  ASSERT_TRUE(replace_file(path, "three", Durability::ProcessCrash, 0640));
  EXPECT_EQ(mode_of(path), 0640u);
  EXPECT_THAT(list_folder(folder.path()), ElementsAre("x"));
}

TEST(File, FailedReplaceLeavesTheOldTextAndNoDraft) {
  const TestFolder folder;
  ASSERT_EQ(::mkdir(folder.path("x").c_str(), 0700), 0);
  ASSERT_TRUE(replace_file(folder.path("x/old"), "old", Durability::ProcessCrash));
  EXPECT_FALSE(replace_file(folder.path("x"), "new", Durability::ProcessCrash));
  EXPECT_THAT(list_folder(folder.path()), ElementsAre("x"));
  EXPECT_EQ(read_file(folder.path("x/old")).value(), "old");
}

// Goal: a draft of a killed process, or a trap in its place, is no obstacle and does no harm.
TEST(File, LeftDraftsAreNotFollowed) {
  const TestFolder folder;
  const std::string path = folder.path("x");
  ASSERT_TRUE(replace_file(folder.path("other"), "other", Durability::ProcessCrash));
  const std::string draft = fmt::format("{}.{}.new", path, ::getpid());
  ASSERT_EQ(::symlink(folder.path("other").c_str(), draft.c_str()), 0);
  ASSERT_TRUE(replace_file(path, "new", Durability::ProcessCrash));
  EXPECT_EQ(read_file(path).value(), "new");
  EXPECT_EQ(read_file(folder.path("other")).value(), "other");
}

TEST(File, DraftsOfKilledProcessesAreRemovedAndNothingElse) {
  const TestFolder folder;
  const auto make = [&folder](std::string_view name) {
    return replace_file(folder.path(name), "x", Durability::ProcessCrash);
  };
  for (const char* name : {"a.json.4711.new", "a.json", "b.new", "4711.new", "c.x1.new"}) {
    ASSERT_TRUE(make(name));
  }
  remove_drafts(folder.path());
  EXPECT_THAT(list_folder(folder.path()), ElementsAre("4711.new", "a.json", "b.new", "c.x1.new"));
}

TEST(FileDraft, IsNothingUntilItIsCommitted) {
  const TestFolder folder;
  const std::string path = folder.path("x");
  {
    Result<FileDraft> draft = FileDraft::open(path);
    ASSERT_TRUE(draft);
    ASSERT_TRUE(draft->write("reserved"));
    EXPECT_EQ(read_file(path).code(), ErrorCode::NotFound);
    FileDraft moved = *std::move(draft);
    ASSERT_TRUE(moved.write("text"));
    ASSERT_TRUE(moved.commit(Durability::ProcessCrash));
    EXPECT_EQ(read_file(path).value(), "textrved");
    ASSERT_TRUE(FileDraft::open(path));
  }
  EXPECT_THAT(list_folder(folder.path()), ElementsAre("x"));
}

TEST(File, AFileOfEarlierDaysIsClosedToOthers) {
  const TestFolder folder;
  const std::string path = folder.path("x.db");
  ASSERT_TRUE(replace_file(path, "text", Durability::ProcessCrash));
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_TRUE(make_file_private(path));
  EXPECT_EQ(mode_of(path), 0600u);
  EXPECT_EQ(read_file(path).value(), "text");
  EXPECT_TRUE(make_file_private(folder.path("new")));
  EXPECT_EQ(mode_of(folder.path("new")), 0600u);
  ASSERT_EQ(::symlink(path.c_str(), folder.path("link").c_str()), 0);
  EXPECT_FALSE(make_file_private(folder.path("link")));
}

TEST(FolderLock, MakesAPrivateFolderAndHoldsIt) {
  const TestFolder folder;
  const std::string path = folder.path("data/of");
  {
    const Result<FolderLock> first = FolderLock::take(path, "agent");
    ASSERT_TRUE(first);
    EXPECT_EQ(mode_of(path), 0700u);
    const Result<FolderLock> second = FolderLock::take(path, "agent");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.code(), ErrorCode::FailedPrecondition);
    EXPECT_THAT(second.error().message, HasSubstr("another agent works in " + path));
  }
  EXPECT_TRUE(FolderLock::take(path, "agent"));
}

TEST(FolderLock, AFolderThatOthersCanEnterIsRefusedWithWhatMendsIt) {
  const TestFolder folder;
  for (const mode_t mode : {0755, 0750, 0701, 01777}) {
    ASSERT_EQ(::chmod(folder.path().c_str(), mode), 0);
    const Result<FolderLock> lock = FolderLock::take(folder.path(), "agent");
    ASSERT_FALSE(lock);
    EXPECT_EQ(lock.code(), ErrorCode::FailedPrecondition);
    EXPECT_THAT(lock.error().message, HasSubstr("`chmod 700 " + folder.path() + "`"));
    EXPECT_EQ(mode_of(folder.path()), mode);
    EXPECT_THAT(list_folder(folder.path()), IsEmpty());
  }
  ASSERT_EQ(::chmod(folder.path().c_str(), 0700), 0);
  EXPECT_TRUE(FolderLock::take(folder.path(), "agent"));
  if (::geteuid() != 0) return;
  ASSERT_EQ(::chown(folder.path().c_str(), 65534, 65534), 0);
  const Result<FolderLock> foreign = FolderLock::take(folder.path(), "agent");
  ASSERT_FALSE(foreign);
  EXPECT_THAT(foreign.error().message, HasSubstr("belongs to another user"));
}

TEST(FolderLock, GoesWithAKilledProcess) {
  const TestFolder folder;
  const pid_t holder = ::fork();
  if (holder == 0) {
    const Result<FolderLock> lock = FolderLock::take(folder.path(), "agent");
    ::raise(lock ? SIGKILL : SIGTERM);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(holder, &status, 0), holder);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_TRUE(FolderLock::take(folder.path(), "agent"));
}

}  // namespace
}  // namespace mesclun
