#pragma once

#include "base/scope.h"
#include "runtime/process/machine_walls.h"
#include "runtime/process/run.h"
#include "runtime/run_table.h"

namespace mesclun::runtime {

using RunPtr = std::shared_ptr<Run>;

// What a driver makes and adopts runs with. All of it outlives the scope's tasks.
struct RunParts {
  const ProcessDriverSettings& settings;
  const MachineWalls& walls;
  RunTable<Run>& runs;
  Scope& scope;  // of what goes on beside a run
  Clock& clock;
};

}  // namespace mesclun::runtime
