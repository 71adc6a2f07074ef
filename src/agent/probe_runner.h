// Carries out one probe of an instance (lifecycle.md §4).
#pragma once

#include <string>

#include "api/probe.h"
#include "runtime/driver.h"

namespace mesclun::agent {

// Passed, or why not in words for an event: "HTTP 503 from :8000/health".
struct ProbeOutcome {
  bool passed = false;
  std::string detail;
};

// Runs on: the agent's loop. Ends within the probe's timeout, which counts as a failure.
// Errors:  Cancelled only; everything that goes wrong with the application is an outcome.
Task<Result<ProbeOutcome>> run_probe(runtime::ContainerDriver& driver, Clock& clock,
                                     std::string instance_id, api::Probe probe, bool ipv6_first);

}  // namespace mesclun::agent
