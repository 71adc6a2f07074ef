// What an earlier driver over the same folder left.
#pragma once

#include "base/scope.h"
#include "runtime/docker/docker_driver_settings.h"
#include "runtime/docker/docker_run.h"
#include "runtime/run_table.h"

namespace mesclun::runtime {

// Of a driver; all outlive its tasks.
struct DockerParts {
  const DockerDriverSettings& settings;
  Engine& engine;
  RunTable<DockerRun>& runs;
  Scope& scope;
  Clock& clock;
};

// Watches what runs, knows what has ended, and removes containers of runs that nobody knows.
Task<Result<>> adopt_containers(DockerParts parts);

}  // namespace mesclun::runtime
