// Whether an instance fails so much more than the others of its group that it should rest. Pure.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/clock.h"

namespace mesclun::gateway {

// The share of failures of one instance, of which old ones fade.
class FailureShare {
 public:
  void count(bool failed) {
    share_ = share_ * kKeep + (failed ? 1 - kKeep : 0);
    seen_ = std::min(seen_ + 1, kSeenMin);
  }
  void forget() { *this = {}; }
  // So many in a row are enough; a mix must be as bad as that.
  bool is_bad() const { return seen_ >= kSeenMin && share_ >= kBadShare; }
  double share() const { return share_; }

 private:
  static constexpr int kSeenMin = 5;
  // Half of the weight is that of the last five.
  static constexpr double kKeep = 0.8705505632961241;  // 2^(-1/5)
  static constexpr double kBadShare = 0.499;

  double share_ = 0;
  int seen_ = 0;
};

struct EjectionRule {
  Duration first = 5s;  // and as much longer for each time in a row
  Duration longest = 60s;
  double share_max = 0.5;    // of the instances that could serve; one stays in any case
  double others_max = 0.25;  // an application that fails everywhere is not an outlier's fault
};

struct EjectionFacts {
  bool bad = false;
  double others_share = 0;  // mean share of failures of the others
  size_t could_serve = 0;   // instances that are ready, ejected or not
  size_t ejected = 0;       // of these
  int times = 0;            // it has been ejected before, without a success since
};

// For how long it rests; nothing: it stays.
inline std::optional<Duration> eject_for(const EjectionFacts& facts, const EjectionRule& rule) {
  if (!facts.bad || facts.others_share > rule.others_max) return std::nullopt;
  const auto most =
      static_cast<size_t>(std::floor(static_cast<double>(facts.could_serve) * rule.share_max));
  if (facts.ejected + 1 >
      std::min(most, facts.could_serve - std::min<size_t>(facts.could_serve, 1))) {
    return std::nullopt;
  }
  return std::min(rule.longest, rule.first * (facts.times + 1));
}

}  // namespace mesclun::gateway
