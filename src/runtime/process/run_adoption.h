// What an earlier agent left running.
#pragma once

#include "runtime/process/run_parts.h"

namespace mesclun::runtime {

// Puts the runs of the data folder into the table: those that live are watched on, of those that
// have ended nothing is alive any more. What was never complete is deleted. Cancelled only.
Task<Result<>> adopt_runs(RunParts parts);

}  // namespace mesclun::runtime
