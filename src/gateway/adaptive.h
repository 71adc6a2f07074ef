// Load balancing algorithm `adaptive`: the instance that would have the next request done soonest, or
// the gateway's own queue, if a place at a faster one is worth waiting for. Pure.
#pragma once

#include <span>

#include "gateway/balancer.h"

namespace mesclun::gateway {

// One instance at this moment.
struct AdaptiveCandidate {
  bool eligible = false;  // ready, its tunnel up, not tried before by this request
  bool suspect = false;   // its tunnel is silent: only when there is no other
  bool ejected = false;   // an outlier: only when too few others are there
  bool refusing = false;  // it has just said that it is busy
  uint32_t in_flight = 0;
  uint32_t places = UINT32_MAX;  // as many at once as are of use there
  double mean_seconds = 0;       // ServiceModel
  double width = 1;
  double variation = 1;
};

// When the next request would be done there, in seconds from now. With n in flight and c at once, it
// waits for the n − c + 1 that come before it to leave: one after the other each mean/c, but the
// first is under way already, and has (1 + v)/2 of its time left (the residual life of renewal
// theory; v: squared coefficient of variation).
double expected_seconds(const AdaptiveCandidate& candidate);

// `waiting`: requests in the gateway's queue, this one included if it is there. `start`: where the
// circle begins; it decides among those that are nearly equal.
//
// A slow instance that is free is left free if a faster one is expected to have a place so soon that
// even the last of those who wait is done earlier there (Lin and Kumar 1984: with two unequal servers
// the best policy is such a threshold on the queue).
BalanceResult choose_adaptive(std::span<const AdaptiveCandidate> candidates, size_t waiting,
                              size_t start);

}  // namespace mesclun::gateway
