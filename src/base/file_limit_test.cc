#include "base/file_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace mesclun {
namespace {

TEST(FileLimit, LeavesRoomForWhatElseAProcessOpens) {
  EXPECT_EQ(files_for_connections(100'000, 20'000, 5'000), 20'000u);
  EXPECT_EQ(files_for_connections(20'000, 20'000, 5'000), 15'000u);
  EXPECT_EQ(files_for_connections(1'024, 20'000, 5'000), 256u);
  EXPECT_EQ(files_for_connections(0, 20'000, 5'000), 1u);
}

rlimit now() {
  rlimit limit{};
  EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  return limit;
}

// In a process of its own, because limits are the process's.
void raise_and_restore() {
  rlimit low = now();
  low.rlim_cur = 512;
  if (::setrlimit(RLIMIT_NOFILE, &low) != 0) std::_Exit(2);
  if (raise_file_limit() != low.rlim_max || now().rlim_cur != low.rlim_max) std::_Exit(3);
  {
    const RestoredFileLimit restored;
    if (now().rlim_cur != 512 || now().rlim_max != low.rlim_max) std::_Exit(4);
  }
  if (now().rlim_cur != low.rlim_max) std::_Exit(5);
  std::_Exit(0);
}

TEST(FileLimit, IsRaisedForUsAndRestoredForChildren) {
  EXPECT_EXIT(raise_and_restore(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace mesclun
