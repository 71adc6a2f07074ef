#include "base/back_off.h"

#include <gtest/gtest.h>

namespace mesclun {
namespace {

TEST(BackOff, DoublesWithJitterUpToItsBound) {
  SeededRandom random(1);
  BackOff back_off(200ms, 10s);
  Duration step = 200ms;
  for (int i = 0; i < 100; ++i) {
    const Duration wait = back_off.next(random);
    EXPECT_GE(wait, step / 2);
    EXPECT_LE(wait, step);
    step = std::min<Duration>(2 * step, 10s);
  }
  back_off.reset();
  EXPECT_LE(back_off.next(random), 200ms);
}

}  // namespace
}  // namespace mesclun
