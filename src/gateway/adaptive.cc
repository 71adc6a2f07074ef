#include "gateway/adaptive.h"

#include <algorithm>
#include <cmath>

namespace mesclun::gateway {

namespace {

// Whose times are so near count as equal: estimates are no better than that.
constexpr double kNearlyEqual = 1.05;
// What waiting must promise over a free instance.
constexpr double kWorthWaiting = 1.1;

// The queue at which free instances are used, however slow: so many times the root of the places that
// are full. Chance makes a queue of about the root; a longer one means that the fast ones alone are too
// few for the load, and then everybody would wait for as long as the slow ones take. (Simulated with
// speeds 1:2:4 and 1, 4 and 16 places each: 1 has a p99 up to a quarter worse, no bound at all has three
// times the median.)
constexpr double kQueueOfRoot = 2;

// The best there is: others are looked at only if there is none of it.
enum class Tier { Trusted, Ejected, Suspect };

Tier tier_of(const AdaptiveCandidate& candidate) {
  if (candidate.suspect) return Tier::Suspect;
  return candidate.ejected ? Tier::Ejected : Tier::Trusted;
}

struct Tiers {
  bool any = false;
  Tier last = Tier::Suspect;  // those up to here take part
};

Tiers find_tiers(std::span<const AdaptiveCandidate> candidates) {
  size_t trusted = 0;
  size_t ejected = 0;
  size_t suspect = 0;
  for (const AdaptiveCandidate& candidate : candidates) {
    if (!candidate.eligible) continue;
    const Tier tier = tier_of(candidate);
    ++(tier == Tier::Trusted ? trusted : tier == Tier::Ejected ? ejected : suspect);
  }
  const bool any = trusted + ejected + suspect > 0;
  if (trusted > 0 && trusted >= ejected) return {any, Tier::Trusted};
  // Others have left since these were ejected: too few would carry it all.
  if (trusted + ejected > 0) return {any, Tier::Ejected};
  return {any, Tier::Suspect};
}

bool is_free(const AdaptiveCandidate& candidate) {
  return !candidate.refusing && candidate.in_flight < candidate.places;
}

// Whether who waits, `waiting` in all, is done sooner than in `seconds` at instances that are quicker
// than that but full.
bool is_worth_waiting(std::span<const AdaptiveCandidate> candidates, Tier last, double seconds,
                      size_t waiting) {
  double rate = 0;  // of places that become free there
  double busy = 0;  // of these places
  for (const AdaptiveCandidate& candidate : candidates) {
    if (!candidate.eligible || tier_of(candidate) > last) continue;
    if (candidate.refusing || is_free(candidate) || candidate.mean_seconds <= 0) continue;
    if (candidate.mean_seconds * kWorthWaiting >= seconds) continue;
    const double own = std::min<double>(candidate.in_flight, candidate.width);
    rate += own / candidate.mean_seconds;
    busy += own;
  }
  if (rate <= 0) return false;
  if (static_cast<double>(waiting) > kQueueOfRoot * std::sqrt(busy)) return false;
  // The last of the line leaves it after waiting/rate; by Little's law busy/rate is the mean stay.
  const double there = (static_cast<double>(std::max<size_t>(waiting, 1)) + busy) / rate;
  return there * kWorthWaiting < seconds;
}

}  // namespace

double expected_seconds(const AdaptiveCandidate& candidate) {
  const double n = candidate.in_flight;
  const double width = std::max(1.0, candidate.width);
  if (n + 1 <= width) return candidate.mean_seconds;
  const double before = std::max(0.0, n - width) + (1 + candidate.variation) / 2;
  return candidate.mean_seconds * (1 + before / width);
}

BalanceResult choose_adaptive(std::span<const AdaptiveCandidate> candidates, size_t waiting,
                              size_t start) {
  using enum BalanceResult::Verdict;
  const auto [any, last] = find_tiers(candidates);
  if (!any) return {NoneEligible, 0};
  bool found = false;
  double best = 0;
  size_t best_index = 0;
  for (size_t step = 0; step < candidates.size(); ++step) {
    const size_t i = (start + step) % candidates.size();
    const AdaptiveCandidate& candidate = candidates[i];
    if (!candidate.eligible || tier_of(candidate) > last || !is_free(candidate)) continue;
    const double seconds = expected_seconds(candidate);
    if (found && seconds * kNearlyEqual >= best) continue;
    found = true;
    best = seconds;
    best_index = i;
  }
  if (!found || is_worth_waiting(candidates, last, best, waiting)) return {AllBusy, 0};
  return {Chosen, best_index};
}

}  // namespace mesclun::gateway
