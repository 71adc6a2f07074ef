#include "base/standard_output.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <memory>

namespace mesclun {
namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

TEST(StandardOutput, AFullDiskIsToldWheneverItWasMet) {
  for (const bool met_before : {false, true}) {
    const File full(std::fopen("/dev/full", "we"), &std::fclose);
    ASSERT_TRUE(full);
    std::fputs("some", full.get());
    if (met_before) std::fflush(full.get());
    EXPECT_TRUE(unwritten(full.get()));
  }
}

TEST(StandardOutput, WhatIsWrittenOrNotWantedIsNoError) {
  const File null(std::fopen("/dev/null", "we"), &std::fclose);
  std::fputs("some", null.get());
  EXPECT_FALSE(unwritten(null.get()));

  const auto before = std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const File pipe(::fdopen(ends[1], "w"), &std::fclose);
  ::close(ends[0]);
  std::fputs("some", pipe.get());
  EXPECT_FALSE(unwritten(pipe.get()));
  EXPECT_FALSE(unwritten(pipe.get())) << "also when asked again";
  std::signal(SIGPIPE, before);
}

}  // namespace
}  // namespace mesclun
