// Whether a request may be sent once more. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mesclun::gateway {

// Why a request is sent once more. The first two are free: nobody has read it.
enum class RetryCause {
  Unconnected,  // an instance took no connection; another one
  Closed,       // an idle stream turned out to be closed; a fresh one to the same instance
  BrokenOff,    // an instance broke off before a byte of its answer came; another one
  Busy,         // an instance refused for load; another one
};
inline constexpr std::array<std::string_view, 4> kRetryCauseNames = {"unconnected", "closed",
                                                                     "broken_off", "busy"};

struct RetryRule {
  double share = 0.1;    // of requests, over time; 0: none
  size_t tries_max = 3;  // instances that one request meets
  double reserve = 20;   // so many at once, before any share was earned, and at most
};

// What a group may spend on sending requests once more: every request earns a share of one. A fault
// of many instances must not become twice the load on the others.
class RetryBudget {
 public:
  explicit RetryBudget(const RetryRule& rule)
      : reserve_(rule.share > 0 ? rule.reserve : 0), left_(reserve_), share_(rule.share) {}

  void earn() { left_ = std::min(left_ + share_, reserve_); }
  bool spend() {
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  double reserve_;
  double left_;
  double share_;
};

struct RetryFacts {
  RetryCause cause = RetryCause::BrokenOff;
  bool repeatable = false;  // its method or its client says that twice does no more than once
  bool refused = false;     // Busy: the instance says that it has done nothing of it
  bool kept = false;        // all of it is at hand
  bool answered = false;    // the client may have seen a byte of an answer
  size_t tries = 0;         // instances that it has met
};

inline bool may_retry(const RetryFacts& facts, const RetryRule& rule) {
  if (facts.answered || !facts.kept || facts.tries >= rule.tries_max) return false;
  return facts.repeatable || (facts.cause == RetryCause::Busy && facts.refused);
}

}  // namespace mesclun::gateway
