#include "http/linger.h"

#include <algorithm>

namespace mesclun {

Task<void> linger(Conn& conn, HttpInput& input, Clock& clock, LingerLimits limits) {
  conn.shutdown_write();
  const TimePoint start = clock.now();
  for (uint64_t dropped = 0; dropped < limits.bytes_max;) {
    dropped += input.bytes().size();
    input.use(input.bytes().size());
    const auto earned = std::chrono::seconds(dropped / limits.bytes_per_second_min);
    conn.set_deadline(
        std::min(clock.now() + limits.silence_max, start + limits.silence_max + earned));
    const Result<bool> more = co_await input.fill();
    if (!more || !*more) co_return;
  }
}

}  // namespace mesclun
