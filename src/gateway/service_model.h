// What a gateway has learned of how one instance serves, from the requests that it had there. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace mesclun::gateway {

// A request stays at an instance for, on average,
//
//   mean × max(1, m / width)      m: how many were there at once, averaged over its stay
//
// so width is 1 for an application that does one thing at a time, and without bound as long as more
// at once have not made any of them slower. Both are fitted by maximum likelihood, as if stays were
// exponentially distributed; stays that vary more than that must say more before they are believed.
//
// Runs on: one loop. Time is handed in and does not go back.
class ServiceModel {
 public:
  // How many at once are told apart; more count as so many.
  static constexpr double kWidthMax = 256;
  // By halves from 1 to 8, from there on each a tenth more than the one before, to kWidthMax.
  static constexpr size_t kLevels = 52;

  // One request's stay, from its arrive() to its leave().
  struct Stay {
    TimePoint start;
    double area = 0;
  };
  Stay arrive(TimePoint now);
  // However it ended.
  void leave(TimePoint now);
  // Before leave(): it was served whole, and its time tells something.
  void learn(const Stay& stay, TimePoint now);

  uint32_t present() const { return present_; }
  // Requests learned from; old ones fade.
  double count() const { return count_; }
  // Of a request that need not share, in seconds. With few of its own it is near `prior`, the group's.
  double mean_seconds(double prior) const;
  // The squared coefficient of variation of stays of one width.
  double variation() const;
  // How many it serves at once without making them slower, as far as it was seen.
  double width() const;
  // As many at once as are of use; none while more have not been seen to be useless. Now and then it
  // is some more, for one request: else what was once too low would never be found out.
  std::optional<uint32_t> useful_at_once() const;

 private:
  void advance(TimePoint now);
  void fade();
  void fit();

  uint32_t present_ = 0;
  TimePoint last_;
  double area_ = 0;  // of present_ over time, in request seconds

  double count_ = 0;
  std::array<double, kLevels> counts_{};
  std::array<double, kLevels> seconds_{};
  uint32_t since_fade_ = 0;
  uint32_t since_probe_ = 0;
  uint32_t since_fit_ = 0;

  // Fitted.
  double mean_ = 0;
  double fitted_width_ = kWidthMax;
  double seen_width_ = 1;
  bool bounded_ = false;

  // Of stays, as multiples of what was expected.
  double ratio_count_ = 0;
  double ratio_sum_ = 0;
  double ratio_squares_ = 0;
  double recent_ratio_ = 1;
  double recent_count_ = 0;
};

// What those of a group come to, for the instances that have not shown enough of their own.
class GroupMean {
 public:
  void add(const ServiceModel& model) {
    if (model.count() < kTeaches) return;
    sum_ += model.mean_seconds(0);
    ++models_;
  }
  // 0: nobody knows.
  double seconds() const { return models_ > 0 ? sum_ / models_ : 0; }

 private:
  static constexpr double kTeaches = 4;

  double sum_ = 0;
  int models_ = 0;
};

}  // namespace mesclun::gateway
