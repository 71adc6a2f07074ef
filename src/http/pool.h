// Connections to one server that wait for the next request, so that most requests open none.
#pragma once

#include <vector>

#include "base/conn.h"

namespace mesclun {

struct PoolLimits {
  size_t idle_max = 64;
  // Servers close idle connections by themselves, many after 5 s, some after 2. Until their end
  // arrives here, a request may be sent into a closed connection; one that may not be repeated only
  // takes those that rested briefly.
  Duration idle_for = 4s;
  Duration idle_for_unrepeatable = 1s;
};

// For a server that keeps its connections as long as we do, or whose close is always answered by
// another try.
inline constexpr PoolLimits kKeepAlways{.idle_for = Duration::max(),
                                        .idle_for_unrepeatable = Duration::max()};

// `C` is a Conn, or a kind of Conn. One that is not clean any more is closed instead of handed out.
//
// Runs on: one loop.
template <class C>
class IdlePool {
 public:
  using Ptr = std::unique_ptr<C>;

  // The one used last, of which its server thinks best; null if none is fit.
  Ptr take(const PoolLimits& limits, TimePoint now, bool repeatable = true) {
    while (!idle_.empty()) {
      const Duration rested = now - idle_.back().since;
      if (idle_.back().conn->is_clean() && rested < limits.idle_for) {
        if (!repeatable && rested >= limits.idle_for_unrepeatable) return nullptr;
        Ptr conn = std::move(idle_.back().conn);
        idle_.pop_back();
        return conn;
      }
      idle_.pop_back();
    }
    return nullptr;
  }
  // Its last deadline must not end it while it rests.
  void put(const PoolLimits& limits, TimePoint now, Ptr conn) {
    if (idle_.size() >= limits.idle_max || !conn->is_clean()) return;
    conn->set_deadline(TimePoint::max());
    idle_.push_back({std::move(conn), now});
  }
  void drop_stale(const PoolLimits& limits, TimePoint now) {
    std::erase_if(idle_, [&](const Idle& idle) {
      return !idle.conn->is_clean() || now - idle.since >= limits.idle_for;
    });
  }
  void clear() { idle_.clear(); }
  size_t size() const { return idle_.size(); }

 private:
  struct Idle {
    Ptr conn;
    TimePoint since;
  };

  std::vector<Idle> idle_;  // the one used last at the back
};

using ConnPool = IdlePool<Conn>;

}  // namespace mesclun
