// Which driver a machine gets: the one place that knows them all.
#pragma once

#include "runtime/driver.h"

namespace mesclun::runtime {

enum class RuntimeKind {
  Auto,     // the best that this machine has
  Process,  // process/process_driver.h
  Docker,   // docker/docker_driver.h
};

struct DriverSettings {
  RuntimeKind kind = RuntimeKind::Process;
  std::string data_folder;  // absolute; made if missing; for one driver at a time
  // Services on this machine's loopback that instances reach at the same address; numeric, at
  // most 8.
  std::vector<Endpoint> services;
  bool egress = true;  // instances with a network of their own reach other machines
  Endpoint engine{.host = "/var/run/docker.sock", .port = 0, .is_unix = true};  // Docker only
};

// Adopts what runs. Errors: FailedPrecondition, another agent uses the folder; as the driver's.
Task<Result<std::unique_ptr<ContainerDriver>>> open_driver(asio::any_io_executor executor,
                                                           Clock& clock, DriverSettings settings);

}  // namespace mesclun::runtime
