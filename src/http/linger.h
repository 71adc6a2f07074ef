// The end of a connection whose client may still be sending.
#pragma once

#include "http/reader.h"

namespace mesclun {

struct LingerLimits {
  Duration time = 1s;
  size_t bytes_max = 1024 * 1024;
};

// Says that nothing more will come, and drops what still comes, until the peer ends or a limit is
// met. Closing with unread input would reset the connection, and take the answer from a client that
// has not read it. The caller closes.
Task<void> linger(Conn& conn, HttpInput& input, Clock& clock, LingerLimits limits = {});

}  // namespace mesclun
