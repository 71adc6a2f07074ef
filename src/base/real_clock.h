// The machine's own clocks. With real_random.cc the only place that reads the time
// (tools/check_sources.py proves it).
#pragma once

#include "base/clock.h"

namespace mesclun {

// Sleeps on the executor of the calling task; the clock itself may be shared by all threads.
class RealClock final : public Clock {
 public:
  TimePoint now() const override;
  WallTime wall_now() const override;
  Task<bool> wait_on(asio::steady_timer& timer, TimePoint when) override;
};

}  // namespace mesclun
