// What the machine allows runs, found out by trying once.
#pragma once

#include "runtime/driver.h"
#include "runtime/process/process_driver_settings.h"
#include "runtime/walls/cgroup.h"
#include "runtime/walls/isolation.h"

namespace mesclun::runtime {

// The walls that every new run of a driver gets.
struct MachineWalls {
  Isolation isolation;
  Cgroups cgroups;
  bool egress = false;  // other machines are reached from a network of their own
  DriverFacts facts;    // the same in words, with what is missing and what that means
};

// Tries the best that the settings allow: a shim enters namespaces and groups and answers. Groups
// of the trial are gone afterwards. Internal or Unavailable: no shim can be started.
Task<Result<MachineWalls>> try_machine(const ProcessDriverSettings& settings, Clock& clock);
// Whether the machine still gives what it gave: a shim starts, with the same walls. Unavailable says
// what is missing.
Task<Result<>> check_machine(const ProcessDriverSettings& settings, const MachineWalls& walls,
                             Clock& clock);

}  // namespace mesclun::runtime
