#include "agent/silence_rule.h"

#include <algorithm>

namespace mesclun::agent {

namespace {

// An agent that is killed forgets so much of the limit at most.
constexpr int kSavesOfLimit = 10;
constexpr int kLooksOfLimit = 20;

}  // namespace

Duration SilenceRule::period() const {
  return std::clamp<Duration>(limit_ / kLooksOfLimit, 50ms, 15s);
}

SilenceRule::Verdict SilenceRule::look(bool connected, TimePoint now) {
  // What is longer was no look: the process was stopped.
  const Duration step = std::clamp<Duration>(now - looked_, Duration::zero(), 2 * period());
  looked_ = now;
  silent_ = connected ? Duration::zero() : std::min(silent_ + step, std::max(limit_, silent_));
  Verdict verdict{.stop = limit_ > Duration::zero() && silent_ >= limit_};
  verdict.save = connected ? saved_ != Duration::zero()
                           : silent_ - saved_ >= limit_ / kSavesOfLimit && silent_ != saved_;
  if (verdict.save) saved_ = silent_;
  return verdict;
}

}  // namespace mesclun::agent
