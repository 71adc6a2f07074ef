#include "base/file_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>

#include "base/test_folder.h"

namespace mesclun {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

bool put(const std::string& path, std::string_view text = "x") {
  return replace_file(path, text, Durability::ProcessCrash).has_value();
}

TEST(FileTree, TreesAreRemovedWithWhatWasMadeUnreadable) {
  const TestFolder folder;
  const std::string deep = folder.path("a/b/c");
  std::filesystem::create_directories(deep);
  ASSERT_TRUE(put(deep + "/x"));
  ASSERT_EQ(::symlink("/", (deep + "/root").c_str()), 0);
  ASSERT_EQ(::chmod(folder.path("a/b").c_str(), 0), 0);
  EXPECT_TRUE(remove_tree(folder.path("a")));
  EXPECT_TRUE(remove_tree(folder.path("a")));
  EXPECT_THAT(list_folder(folder.path()), IsEmpty());
}

// Each name is legal; all of them together are far longer than PATH_MAX.
TEST(FileTree, NestsDeeperThanAnyPathReaches) {
  const TestFolder folder;
  const std::string name(100, 'd');
  ASSERT_EQ(::mkdir(folder.path("top").c_str(), 0700), 0);
  Descriptor at(::open(folder.path("top").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int depth = 0; depth < 1'200; ++depth) {
    ASSERT_EQ(::mkdirat(at.get(), name.c_str(), 0700), 0);
    const Descriptor file(::openat(at.get(), "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_TRUE(file);
    const Descriptor above = std::move(at);
    at.reset(::openat(above.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at);
    if (depth % 100 == 50) ASSERT_EQ(::fchmod(above.get(), 0), 0);
  }
  at.reset();
  EXPECT_TRUE(remove_tree(folder.path("top")));
  EXPECT_THAT(list_folder(folder.path()), IsEmpty());
}

TEST(FileTree, ManyFoldersSideBySideOfAnyName) {
  const TestFolder folder;
  for (int i = 0; i < 300; ++i) {
    std::filesystem::create_directories(fmt::format("{}/top/{}.moved/{}/c", folder.path(), i, i));
  }
  EXPECT_TRUE(remove_tree(folder.path("top")));
  EXPECT_THAT(list_folder(folder.path()), IsEmpty());
}

TEST(FileTree, FollowsNoLink) {
  const TestFolder folder;
  std::filesystem::create_directories(folder.path("kept/inner"));
  std::filesystem::create_directories(folder.path("top/a"));
  ASSERT_TRUE(put(folder.path("kept/inner/x")));
  ASSERT_EQ(::symlink(folder.path("kept").c_str(), folder.path("top/link").c_str()), 0);
  ASSERT_EQ(::symlink(folder.path("kept").c_str(), folder.path("top/a/link").c_str()), 0);
  ASSERT_EQ(::symlink(folder.path("kept").c_str(), folder.path("link").c_str()), 0);
  EXPECT_TRUE(remove_tree(folder.path("top")));
  EXPECT_TRUE(remove_tree(folder.path("link")));
  EXPECT_EQ(read_file(folder.path("kept/inner/x")).value(), "x");
}

TEST(FileTree, GivesUpWhenToldTo) {
  const TestFolder folder;
  ASSERT_TRUE(put(folder.path("x")));
  const std::atomic<bool> stop = true;
  EXPECT_FALSE(remove_tree(folder.path(), &stop));
  EXPECT_THAT(list_folder(folder.path()), ElementsAre("x"));
}

// Also what is bound there from the same file system, which no device number tells.
TEST(FileTree, CrossesNoMount) {
  const TestFolder folder;
  std::filesystem::create_directories(folder.path("kept"));
  std::filesystem::create_directories(folder.path("top/near"));
  std::filesystem::create_directories(folder.path("top/a/b/far"));
  ASSERT_TRUE(put(folder.path("kept/x")));
  ASSERT_TRUE(put(folder.path("top/a/b/y")));
  const std::string kept = folder.path("kept");
  const std::string near = folder.path("top/near");
  const std::string far = folder.path("top/a/b/far");
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0) ::_exit(77);
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount(kept.c_str(), near.c_str(), nullptr, MS_BIND, nullptr) != 0) ::_exit(77);
    if (::mount(kept.c_str(), far.c_str(), nullptr, MS_BIND, nullptr) != 0) ::_exit(77);
    const bool gone = remove_tree(folder.path("top"));
    ::_exit(gone ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "mounts are not allowed here";
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(folder.path("kept/x")).value(), "x");
  EXPECT_FALSE(std::filesystem::exists(folder.path("top/a/b/y")));
}

int64_t bytes_of(const std::string& path, int64_t enough = INT64_MAX) {
  TreeMeter meter(enough);
  meter.add(path);
  return meter.bytes();
}

TEST(TreeMeter, CountsBlocksOfAllBelowAndAFileWithManyNamesOnce) {
  const TestFolder folder;
  const std::string top = folder.path("top");
  std::filesystem::create_directories(top + "/a/b");
  const int64_t empty = bytes_of(top);
  ASSERT_TRUE(put(top + "/a/b/file", std::string(100'000, 'x')));
  const int64_t one = bytes_of(top);
  EXPECT_GE(one - empty, 100'000);
  EXPECT_LT(one - empty, 200'000);
  std::filesystem::create_hard_link(top + "/a/b/file", top + "/a/again");
  EXPECT_EQ(bytes_of(top), one);
  // A file of a gigabyte that is a hole.
  ASSERT_TRUE(put(top + "/hole", ""));
  std::filesystem::resize_file(top + "/hole", 1'000'000'000);
  EXPECT_LT(bytes_of(top), one + 100'000);
  EXPECT_EQ(bytes_of(folder.path("nothing")), 0);
}

TEST(TreeMeter, WhatTakesNoBlockCountsToo) {
  const TestFolder folder;
  const int64_t before = bytes_of(folder.path(""));
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(::symlink("/", folder.path(fmt::format("link{}", i)).c_str()), 0);
  }
  EXPECT_GE(bytes_of(folder.path("")) - before, 50 * 1024);
}

TEST(TreeMeter, EndsWhenItHasSeenEnoughOrIsTold) {
  const TestFolder folder;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(put(folder.path(fmt::format("{}", i)), std::string(10'000, 'x')));
  }
  const int64_t some = bytes_of(folder.path(""), 100'000);
  EXPECT_GT(some, 100'000);
  EXPECT_LT(some, 200'000);
  const std::atomic<bool> stop = true;
  TreeMeter stopped(INT64_MAX, &stop);
  stopped.add(folder.path(""));
  EXPECT_LT(stopped.bytes(), 100'000);
}

TEST(TreeMeter, SaysWhenFoldersAreTooDeep) {
  const TestFolder folder;
  std::string path = folder.path("");
  for (int i = 0; i < 300; ++i) path += "/d";
  std::filesystem::create_directories(path);
  TreeMeter meter(INT64_MAX);
  meter.add(folder.path(""));
  EXPECT_TRUE(meter.too_deep());
  TreeMeter lower(INT64_MAX);
  lower.add(folder.path("d"));
  EXPECT_TRUE(lower.too_deep());
}

}  // namespace
}  // namespace mesclun
