#include "cloud/listening_clock.h"

#include <gtest/gtest.h>

namespace mesclun::cloud {
namespace {

constexpr TimePoint kStart(1h);

class ListeningClockTest : public testing::Test {
 protected:
  void tick_after(Duration gap) {
    now_ += gap;
    clock_.tick(now_);
  }
  Duration counted() const { return clock_.counted() - kStart; }
  Duration heard_at(Duration later) const { return clock_.heard_at(now_ + later) - kStart; }

  TimePoint now_ = kStart;
  ListeningClock clock_{1s, kStart};
};

TEST_F(ListeningClockTest, GoesWithTheClockWhileTheLoopTicks) {
  for (int i = 0; i < 10; ++i) tick_after(1s);
  EXPECT_EQ(counted(), 10s);
  EXPECT_EQ(heard_at(300ms), 10s + 300ms);
  tick_after(1900ms);
  EXPECT_EQ(counted(), 11s + 900ms) << "a little late is no stall";
}

TEST_F(ListeningClockTest, AStallCountsAsOnePeriodAndOnlyAfterwards) {
  tick_after(1s);
  EXPECT_EQ(heard_at(24s), 3s) << "who first looks at it after a stall sees two periods at most";
  tick_after(24s);
  EXPECT_EQ(counted(), 1s) << "nobody is more silent than before: what queued up was not read yet";
  EXPECT_EQ(heard_at(0s), 2s);
  tick_after(1s);
  EXPECT_EQ(counted(), 3s);
}

TEST_F(ListeningClockTest, ALoopThatIsAlwaysLateStillGetsOn) {
  for (int i = 0; i < 10; ++i) tick_after(3s);
  EXPECT_EQ(counted(), 9s);
}

// Goal: silence is never overrated. Method: of two moments the counted time is at most what passed.
TEST_F(ListeningClockTest, NeverCountsMoreThanPassed) {
  const Duration gaps[] = {1s, 1500ms, 2s, 2001ms, 5s, 900ms, 1s, 24s, 24s, 1s};
  for (const Duration gap : gaps) {
    for (Duration later = 0s; later < gap; later += 100ms) {
      const TimePoint heard = clock_.heard_at(now_ + later);
      ListeningClock future = clock_;
      TimePoint now = now_ + gap;
      future.tick(now);
      for (int i = 0; i < 5; ++i) {
        EXPECT_LE(future.counted() - heard, now - (now_ + later));
        now += gaps[i];
        future.tick(now);
      }
    }
    tick_after(gap);
  }
}

}  // namespace
}  // namespace mesclun::cloud
