// The end of a connection whose client may still be sending.
#pragma once

#include "http/reader.h"

namespace mesclun {

// Reading on costs a connection and little else, so it lasts as long as an honest upload would: a
// client that reads no answer before it has sent everything gets it all the same.
struct LingerLimits {
  Duration silence_max = 5s;           // without a byte
  size_t bytes_per_second_min = 1024;  // on average, after the first silence_max
  uint64_t bytes_max = uint64_t{1} << 30;
};

// Says that nothing more will come, and drops what still comes, until the peer ends or a limit is
// met. Closing with unread input would reset the connection, and take the answer from a client that
// has not read it. The caller closes.
Task<void> linger(Conn& conn, HttpInput& input, Clock& clock, LingerLimits limits = {});

}  // namespace mesclun
