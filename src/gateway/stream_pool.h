// Streams to one instance that wait for the next request, so that most requests open none.
#pragma once

#include <vector>

#include "link/tunnel.h"

namespace mesclun::gateway {

struct PoolLimits {
  size_t idle_max = 64;  // per instance
  // Applications close idle connections by themselves, many after 5 s, some after 2. Until their
  // end arrives here, a request may be sent into a closed connection; one that may not be repeated
  // only takes streams that rested briefly.
  Duration idle_for = 4s;
  Duration idle_for_unrepeatable = 1s;
};

// Runs on: the gateway's loop.
class StreamPool {
 public:
  // The stream used last; null if there is none fit.
  link::TunnelStreamPtr take(const PoolLimits& limits, TimePoint now, bool repeatable) {
    while (!idle_.empty()) {
      const Duration rested = now - idle_.back().since;
      if (idle_.back().stream->is_clean() && rested < limits.idle_for) {
        if (!repeatable && rested >= limits.idle_for_unrepeatable) return nullptr;
        link::TunnelStreamPtr stream = std::move(idle_.back().stream);
        idle_.pop_back();
        return stream;
      }
      idle_.pop_back();
    }
    return nullptr;
  }
  void put(const PoolLimits& limits, TimePoint now, link::TunnelStreamPtr stream) {
    if (idle_.size() < limits.idle_max && stream->is_clean()) {
      idle_.push_back({std::move(stream), now});
    }
  }
  void drop_stale(const PoolLimits& limits, TimePoint now) {
    std::erase_if(idle_, [&](const Idle& idle) {
      return !idle.stream->is_clean() || now - idle.since >= limits.idle_for;
    });
  }
  void clear() { idle_.clear(); }
  size_t size() const { return idle_.size(); }

 private:
  struct Idle {
    link::TunnelStreamPtr stream;
    TimePoint since;
  };
  std::vector<Idle> idle_;  // the one used last at the back
};

}  // namespace mesclun::gateway
