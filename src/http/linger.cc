#include "http/linger.h"

namespace mesclun {

Task<void> linger(Conn& conn, HttpInput& input, Clock& clock, LingerLimits limits) {
  conn.shutdown_write();
  conn.set_deadline(clock.now() + limits.time);
  for (size_t dropped = 0; dropped < limits.bytes_max;) {
    dropped += input.bytes().size();
    input.use(input.bytes().size());
    const Result<bool> more = co_await input.fill();
    if (!more || !*more) co_return;
  }
}

}  // namespace mesclun
