// A byte stream through the simulated network, as TCP would carry it: pieces come late and cut
// anywhere, a window fills, a reset comes in the middle of a write.
#pragma once

#include "base/conn.h"
#include "base/random.h"
#include "link/session.h"

namespace mesclun::sim {

// Two ends. Of each write some of the pieces may have arrived when the rest is lost with the
// stream; `fate` is asked for each of its pieces, and for the orderly end.
//
// Lifetime: clock and random outlive both ends.
std::pair<ConnPtr, ConnPtr> sim_stream_pair(const asio::any_io_executor& executor, Clock& clock,
                                            Random& random, link::Fate fate);

}  // namespace mesclun::sim
