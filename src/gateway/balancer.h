// Which instance takes the next request. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mesclun::gateway {

struct BalanceRule {
  bool least_connections = false;  // else round robin
  bool one_at_a_time = false;      // only instances without a request in flight
};

// One instance at this moment.
struct Candidate {
  bool eligible = false;  // ready, its tunnel up, not tried before by this request
  bool suspect = false;   // its tunnel is silent: only when there is no other
  uint32_t in_flight = 0;
};

struct BalanceResult {
  enum class Verdict { Chosen, AllBusy, NoneEligible };
  Verdict verdict = Verdict::NoneEligible;
  size_t index = 0;
};

// `at(i)` gives candidate i of `count`; `start` is where the circle begins, one past the instance
// chosen last. Ties of least connections go round that circle too. Round robin looks at no more
// candidates than it must.
template <class At>
BalanceResult choose(size_t count, At at, BalanceRule rule, size_t start) {
  using enum BalanceResult::Verdict;
  bool any_eligible = false;
  bool any_trusted = false;  // eligible and not suspect, busy or not
  bool found = false;
  Candidate best;
  size_t best_index = 0;
  for (size_t step = 0; step < count; ++step) {
    const size_t i = (start + step) % count;
    const Candidate candidate = at(i);
    if (!candidate.eligible) continue;
    any_eligible = true;
    if (!candidate.suspect && !any_trusted) {
      // The first trusted one beats every suspect one before it.
      any_trusted = true;
      found = false;
    }
    if (candidate.suspect && any_trusted) continue;
    if (rule.one_at_a_time && candidate.in_flight > 0) continue;
    if (found && (!rule.least_connections || candidate.in_flight >= best.in_flight)) continue;
    found = true;
    best = candidate;
    best_index = i;
    if (!candidate.suspect && (!rule.least_connections || candidate.in_flight == 0)) break;
  }
  if (found) return {Chosen, best_index};
  return {any_eligible ? AllBusy : NoneEligible, 0};
}

}  // namespace mesclun::gateway
