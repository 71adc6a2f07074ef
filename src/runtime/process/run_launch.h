// A new run: its folders, its groups, its shim.
#pragma once

#include "runtime/process/run_parts.h"

namespace mesclun::runtime {

// Makes everything but the application's own process, and watches it. On error nothing is left.
// AlreadyExists, NotFound, FailedPrecondition as ContainerDriver::create; InvalidArgument: the
// specification cannot be carried out.
Task<Result<>> launch_run(RunParts parts, RunSpec spec);

}  // namespace mesclun::runtime
