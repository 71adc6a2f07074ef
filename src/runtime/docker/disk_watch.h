// Looks again and again how much runs have written.
#pragma once

#include "runtime/docker/docker_run.h"
#include "runtime/run_table.h"

namespace mesclun::runtime {

// Runs on:  the driver's loop. One container after the other; where looking takes long, the disk is
//           left alone for nine tenths of the time.
// Lifetime: the parts outlive run(); stop() before run() is cancelled.
class DiskWatch {
 public:
  DiskWatch(Engine& engine, Clock& clock, const RunTable<DockerRun>& runs, Duration period)
      : clock_(clock), runs_(runs), period_(period), meter_(engine) {}

  // Until cancelled. Sets `excess` of who has too much, once it is seen.
  Task<Result<>> run();
  void stop() { meter_.stop(); }

 private:
  Task<Result<>> look();

  Clock& clock_;
  const RunTable<DockerRun>& runs_;
  const Duration period_;
  DiskMeter meter_;
};

}  // namespace mesclun::runtime
