// One run in a container, as the agent knows it, and its end.
//
//   <data>/starter                        the program that is mounted into every container
//   <data>/images.json                    which images we pulled
//   <data>/runs/<instance_id>/run.json    what to run, and where; mode 0600, it holds the environment
//                             exit.json   how it ended
//                             log.read    how far its lines were handed out
//   <data>/files/<name>/door/             mounted into the container: the starter's socket
#pragma once

#include "base/scope.h"
#include "runtime/docker/container_network.h"
#include "runtime/docker/containers.h"
#include "runtime/docker/disk_meter.h"
#include "runtime/docker/docker_log.h"
#include "runtime/docker/starter_door.h"
#include "runtime/process/run_files.h"
#include "runtime/walls/cgroup_usage.h"

namespace mesclun::runtime {

// run.json
struct DockerRecord {
  std::string instance_id;
  std::string container;  // the engine's id; a restart goes on in the same container
  std::string files;      // the container's name among the driver's files
  std::string folder;     // the same as a path
  StartOrders orders;
  int64_t memory_bytes = 0;  // for the message when it was exceeded
  // What its limits say; none: an older mesclun made the run, which bounded no disk.
  std::optional<int64_t> disk_bytes;
  std::optional<std::string> image;   // as full_image_name() has it
  std::optional<bool> image_caching;  // as RunSpec has it
  std::optional<int64_t> image_bytes;
  std::optional<int32_t> port;  // as RunSpec has it
  int64_t create_time = 0;      // unix ns
  int64_t start_time = 0;       // unix ns; 0: not started
  json::object label;
};
BOOST_DESCRIBE_STRUCT(StartOrders, (), (command, environment))
BOOST_DESCRIBE_STRUCT(DockerRecord, (),
                      (instance_id, container, files, folder, orders, memory_bytes, disk_bytes,
                       image, image_caching, image_bytes, port, create_time, start_time, label))

// Loop only. Kept alive by whoever works with it, also when the driver has forgotten it.
struct DockerRun {
  DockerRun(const asio::any_io_executor& executor, DockerRecord what, std::string where)
      : record(std::move(what)),
        folder(std::move(where)),
        log(executor, folder + "/log.read", record.create_time),
        changed(executor) {}

  DockerRecord record;
  std::string folder;  // runs/<instance_id>
  DockerLog log;
  Notify changed;  // when `exit` or `excess` is there, and when `starting` ends
  std::optional<StarterDoor> door;
  ContainerNetwork network;
  pid_t process = 0;        // its first, while it lives
  CgroupCounters counters;  // likewise
  ContainerDisk disk;       // likewise
  std::optional<DiskExcess> excess;
  std::vector<std::shared_ptr<Listener>> services;  // of this machine, inside
  Descriptor metadata;                              // listens for the metadata service
  std::vector<Descriptor> sockets_v4;               // in stock, of its network
  std::vector<Descriptor> sockets_v6;
  bool starting = false;  // start() is under way
  bool killed = false;    // by us, after its grace
  std::string trouble;    // why its program could not be started
  std::optional<RunExit> exit;
  bool ready = false;        // create() is through
  uint64_t execs_begun = 0;  // by this agent: names their doors
};

// Network, metadata service and places of a container that runs; its first process.
Task<Result<pid_t>> connect_container(std::shared_ptr<DockerRun> run, Engine& engine);
// Makes services of this machine reachable at the same place inside, while it runs; but not at the
// application's own port.
Result<> listen_for_services(std::shared_ptr<DockerRun> run, const std::vector<Endpoint>& services,
                             Scope& scope, Clock& clock);
// Reads its lines, also when the driver has forgotten it meanwhile; `until` as in DockerLog.
Task<Result<>> follow_log(std::shared_ptr<DockerRun> run, Engine& engine, Clock& clock,
                          std::optional<int64_t> until);
// Until the container has ended, also over restarts of the engine. Sets `exit`.
Task<Result<>> watch_container(std::shared_ptr<DockerRun> run, Engine& engine, Clock& clock);
// How a run ended, for people too. Pure.
RunExit exit_of(const DockerRun& run, const ContainerState& state);

// What it may write; nothing: as much as there is.
std::optional<int64_t> disk_bytes_max(const DockerRecord& record);

Result<Descriptor> take_socket(DockerRun& run, int family);

}  // namespace mesclun::runtime
