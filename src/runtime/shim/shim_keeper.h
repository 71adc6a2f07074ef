// The parent of a run's shim, for the case that the shim is killed.
//
// Processes that lose their parent go to the nearest ancestor that asked for them. While the
// shim lives that is the shim; then it is the keeper, whatever session or process group they are
// in. So this holds without control groups and process namespaces.
#pragma once

#include "runtime/process/run_files_process.h"

namespace mesclun::runtime {

// Splits the calling process, which has one thread and no children. Returns in the new half, with
// the process that is its keeper from now on.
//
// Promise: the keeper ends when the new half has ended and nothing that it started is alive; what
//          is left then is killed. If the keeper itself is killed, the new half gets SIGHUP once
//          it has called heed_keeper().
Result<ProcessRef> split_off_keeper();

// Not before the caller entered its namespaces: the kernel may forget it on the way.
void heed_keeper(const ProcessRef& keeper);

}  // namespace mesclun::runtime
