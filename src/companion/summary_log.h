// The line of the log that says every minute what went on.
#pragma once

#include "companion/node_watch.h"

namespace mesclun::companion {

// Every config.log_summary, until cancelled. `front` may be null.
Task<Result<>> log_summaries(const Config& config, Clock& clock, const StatusPages& pages,
                             const Front* front, const NodeWatch& node);

}  // namespace mesclun::companion
