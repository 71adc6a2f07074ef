#include "companion/ending.h"

#include <gtest/gtest.h>

#include "base/test_loop.h"

namespace mesclun::companion {
namespace {

struct EndingTest : ::testing::Test {
  VirtualLoop loop;
  bool few_left = false;
  Endings endings{loop.executor(), false, [this] { return few_left; }};
};

TEST_F(EndingTest, ANodeIsLeftForTrouble) {
  endings.act(Action::Reallocate, "slow", false);
  ASSERT_TRUE(endings.first());
  EXPECT_EQ(endings.first()->kind, Ending::Kind::Leave);
}

TEST_F(EndingTest, WhereFewOthersAreLeftNoneIsAskedForWhateverTheTrouble) {
  few_left = true;
  endings.act(Action::Reallocate, "slow", false);
  EXPECT_FALSE(endings.first());
  endings.act(Action::Reallocate, "the application failed", false, true);
  ASSERT_TRUE(endings.first());
  EXPECT_EQ(endings.first()->kind, Ending::Kind::Exit) << "it starts again where it is";
}

TEST_F(EndingTest, WhatNeverServesEndsAlsoThere) {
  few_left = true;
  endings.act(Action::Reallocate, "it does not start", true);
  ASSERT_TRUE(endings.first());
  EXPECT_EQ(endings.first()->kind, Ending::Kind::Exit);
}

}  // namespace
}  // namespace mesclun::companion
