#include "runtime/docker/image_cache.h"

#include <gmock/gmock.h>

namespace mesclun::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kNow = int64_t{1'700'000'000} * 1'000'000'000;

PulledImage image(std::string name, int64_t bytes, Duration age) {
  return {.name = std::move(name),
          .bytes = bytes,
          .use_time = kNow - std::chrono::nanoseconds(age).count()};
}

TEST(ImageCache, WhatNobodyNeededForLongGoes) {
  const ImageCacheLimits limits{.bytes_max = 1000, .age_max = 24h};
  EXPECT_THAT(
      choose_removals({image("a", 1, 25h), image("b", 1, 23h), image("c", 1, 26h)}, limits, kNow),
      ElementsAre("c", "a"));
}

TEST(ImageCache, TheLeastLatelyUsedMakeRoom) {
  const ImageCacheLimits limits{.bytes_max = 100, .age_max = 24h};
  EXPECT_THAT(choose_removals({image("new", 40, 1h), image("old", 40, 3h), image("mid", 40, 2h)},
                              limits, kNow),
              ElementsAre("old"));
  EXPECT_THAT(choose_removals({image("new", 40, 1h), image("mid", 60, 2h)}, limits, kNow),
              IsEmpty())
      << "exactly as much as may be";
  EXPECT_THAT(choose_removals({image("huge", 500, 1h)}, limits, kNow), ElementsAre("huge"));
}

TEST(ImageCache, WhatWasJustNeededStaysEvenIfItIsTooLarge) {
  const ImageCacheLimits limits{.bytes_max = 100, .age_max = 24h};
  EXPECT_THAT(choose_removals({image("old", 40, 1h), image("fresh", 500, 1min)}, limits, kNow),
              ElementsAre("old"));
}

TEST(ImageCache, PrivateOnesGoSoonUnlessTheirGroupsWantThemCached) {
  const auto private_image = [](std::string name, Duration age, bool caching) {
    PulledImage out = image(std::move(name), 1, age);
    out.is_private = true;
    out.caching = caching;
    return out;
  };
  const std::vector<PulledImage> idle{
      private_image("just-used", 4min, false), private_image("left", 6min, false),
      private_image("cached", 23h, true), private_image("cached-for-long", 25h, true),
      image("for-everybody", 1, 6min)};
  const ImageCacheLimits limits{.bytes_max = 1000, .age_max = 24h};
  EXPECT_THAT(choose_removals(idle, limits, kNow), ElementsAre("cached-for-long", "left"));
  EXPECT_THAT(choose_removals(idle, {.age_max = 1min, .private_age_max = 1h}, kNow).size(), 5u)
      << "never longer than the others";
}

TEST(ImageCache, AClockThatWentBackRemovesNothing) {
  EXPECT_THAT(choose_removals({image("later", 500, -48h)}, {.bytes_max = 100, .age_max = 1h}, kNow),
              IsEmpty());
}

}  // namespace
}  // namespace mesclun::runtime
