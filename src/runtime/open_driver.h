// Which driver a machine gets: the one place that knows them all.
#pragma once

#include "runtime/docker/image_cache.h"
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
  bool egress = true;            // instances with a network of their own reach other machines
  ImageCacheLimits image_cache;  // Docker only
  Duration disk_period = 10s;    // how often it is looked how much runs wrote; Docker only
  Endpoint engine{.host = "/var/run/docker.sock", .port = 0, .is_unix = true};  // Docker only
};

struct OpenedDriver {
  std::unique_ptr<ContainerDriver> driver;
  // Auto: why it is this one, for people. Otherwise empty.
  std::string why;
};

// What is known of a machine before a driver is opened.
struct RuntimeSigns {
  bool has_containers = false;  // the data folder has runs of the Docker driver
  bool has_processes = false;   // of the process driver
  bool is_root = false;
  std::string engine_problem;  // empty: it answers
};
struct RuntimeChoice {
  RuntimeKind kind = RuntimeKind::Process;
  std::string why;
};
// What Auto means. Pure. What runs is not left behind: with runs of one driver that one is chosen
// again, whatever else there is.
RuntimeChoice choose_runtime(const RuntimeSigns& signs);

// Adopts what runs. Errors: FailedPrecondition, another agent uses the folder; as the driver's.
Task<Result<OpenedDriver>> open_driver(asio::any_io_executor executor, Clock& clock,
                                       DriverSettings settings);

}  // namespace mesclun::runtime
