// What runs instances on this machine: processes, containers of Docker Engine, a fake in the
// simulator.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/socket_conn.h"
#include "runtime/exec_stream.h"

namespace mesclun::runtime {

// Of the machine, reached by runs: the most that a driver takes.
inline constexpr size_t kServicesMax = 8;

// One run of an instance. Everything is decided by the caller; the driver carries it out.
struct RunSpec {
  std::string instance_id;                         // names the run; unique to each start
  std::string image;                               // named, not pulled, by the process driver
  bool image_caching = false;                      // its group lets a private image stay for later
  std::vector<std::string> command;                // program and arguments, no shell
  std::map<std::string, std::string> environment;  // complete, with the platform's variables
  double cpu_cores = 1;                            // hard limit of CPU time, may be a fraction
  int64_t memory_bytes = 0;                        // hard limit
  int64_t disk_bytes = 0;                          // 0: what suits the image; see disk_excess()
  int64_t shm_bytes = 64 * 1024 * 1024;            // size of /dev/shm
  std::vector<std::string> gpus;                   // real ones of the machine, by UUID
  int32_t port = 0;                                // where the gateway reaches it; 0: nowhere
  // The earlier run whose writable files this one takes over (restart); empty: fresh files.
  std::string files_of;
  // Kept by the driver with the run, for the agent's own restart.
  json::object label;
};

// What no driver can run. InvalidArgument: the id cannot name files, a variable has no possible name or
// value, or as check_limits().
Result<> check_run(const RunSpec& spec);

// What a run may take; changed while it lives.
struct RunLimits {
  double cpu_cores = 1;
  int64_t memory_bytes = 0;
  int64_t disk_bytes = 0;
  bool operator==(const RunLimits&) const = default;
};
// InvalidArgument: no machine could keep them.
Result<> check_limits(const RunLimits& limits);

struct RunExit {
  int32_t code = 0;            // 128 + signal when killed, -1 when it could not be started
  bool start_failure = false;  // no such program, not executable, ...
  std::string detail;          // for people
  int64_t time = 0;            // unix ns
};

// What the driver still has of a run, found after a restart of the agent.
struct RunInfo {
  std::string instance_id;
  json::object label;
  bool started = false;
  int64_t start_time = 0;       // unix ns
  std::optional<RunExit> exit;  // none: it runs
};

struct LogChunk {
  std::string stream;  // "stdout" or "stderr"
  int64_t time = 0;    // unix ns
  std::string text;    // one line without its end
};

// What a registry wants to be shown for a pull. Kept nowhere: neither on a disk nor by the engine.
struct RegistryAccess {
  std::string registry;  // whom it is for
  std::string token;     // of a bearer; or else
  std::string user;
  std::string password;

  bool empty() const { return token.empty() && user.empty(); }
};

// A run that took more of the disk than it may.
struct DiskExcess {
  int64_t used_bytes = 0;  // at least; it may have gone on
  int64_t bytes_max = 0;
};

// What a live run has used.
struct RunUsage {
  std::string instance_id;
  std::optional<Duration> cpu_time;     // since its start, of all cores together
  std::optional<int64_t> memory_bytes;  // now, without what the kernel could drop at once
};

struct DriverFacts {
  std::string runtime;       // "process"
  bool own_network = false;  // instances have a network namespace: 169.254.169.254 works
  bool limits_cpu = false;
  bool limits_memory = false;
  bool watches_disk = false;          // disk_excess() tells
  std::vector<std::string> warnings;  // what is missing on this machine and what that means
};

// Runs on: the agent's loop.
// Order:   create, metadata_listener, start, wait; then stop (in any state), remove.
// Fails:   NotFound, no such run; AlreadyExists, the name of a new one is taken; FailedPrecondition,
//          the call does not fit its state; Internal or Unavailable, the machine refused (the
//          message says what and why).
// Every implementation passes driver_contract_test.cc.
class ContainerDriver {
 public:
  virtual ~ContainerDriver() = default;

  // No task of the driver runs afterwards; runs go on. Awaited before the destructor.
  virtual Task<void> close() = 0;

  virtual DriverFacts facts() const = 0;
  // Everything that exists of earlier runs on this machine, for adoption.
  virtual Task<Result<std::vector<RunInfo>>> list() = 0;

  // Whether a run could be made now, found out by trying; after a create() that failed. Unavailable
  // or Internal: what the machine lacks.
  virtual Task<Result<>> check() { co_return Result<>(); }
  // Whether the image is on this machine; true for a driver that has no images.
  virtual Task<Result<bool>> has_image(std::string image) {
    std::ignore = image;
    co_return true;
  }
  // Fetches it from its registry; `progress` hears per cent. Takes as long as something arrives.
  // NotFound, no such image, or no right to see it; PermissionDenied, the registry wants (other)
  // credentials; FailedPrecondition, it is for other machines; ResourceExhausted, the disk is full;
  // DeadlineExceeded, nothing came for minutes; Unavailable, the registry or the way to it.
  virtual Task<Result<>> pull(std::string image, RegistryAccess access,
                              std::function<void(double)> progress) {
    std::ignore = image;
    std::ignore = access;
    std::ignore = progress;
    co_return Result<>();
  }
  // Makes the run's surroundings (files, network, limits); nothing of the application runs yet.
  virtual Task<Result<>> create(RunSpec spec) = 0;
  // Where the metadata service of this run is to be answered, 169.254.169.254:80 inside its
  // network; also for an adopted run. Nothing if this driver has no real network (simulator).
  virtual Result<std::optional<Listener>> metadata_listener(const std::string& instance_id) = 0;
  // A program that cannot be started is no error here: wait() tells.
  virtual Task<Result<>> start(std::string instance_id) = 0;
  // For a run that was created and has not ended. Where facts() say that a limit is not kept, it is
  // not kept now either. Less memory than is in use may end the application.
  virtual Task<Result<>> set_limits(std::string instance_id, RunLimits limits) = 0;
  // What RunSpec says of it, from now on. NotFound.
  virtual Result<> set_image_caching(const std::string& instance_id, bool caching) {
    std::ignore = instance_id;
    std::ignore = caching;
    return {};
  }
  // Until the application has ended and nothing of the run is alive, whatever walls there are.
  // Several tasks may wait.
  virtual Task<Result<RunExit>> wait(std::string instance_id) = 0;
  // Until the run has written more than its disk_bytes; it goes on, and whoever asked ends it.
  // FailedPrecondition: it ended before. Unimplemented: this driver bounds no disk.
  virtual Task<Result<DiskExcess>> disk_excess(std::string instance_id) {
    std::ignore = instance_id;
    co_return Error{ErrorCode::Unimplemented, "this driver bounds no disk"};
  }
  // SIGTERM to the whole process group, SIGKILL to everything of the run after `grace`. Returns
  // when nothing of it is left.
  virtual Task<Result<>> stop(std::string instance_id, Duration grace) = 0;
  // Forgets the run; its files too unless a later run took them over.
  virtual Task<Result<>> remove(std::string instance_id) = 0;

  // Connects to a port of the application: IPv6 loopback first if `ipv6_first`, then the other
  // family. Unavailable with Cause::Refused: nobody listens there.
  virtual Task<Result<ConnPtr>> connect(std::string instance_id, uint16_t port, bool ipv6_first,
                                        Duration limit) = 0;
  // Runs a command inside; its exit status. DeadlineExceeded after `limit`, with the command
  // killed.
  virtual Task<Result<int32_t>> exec(std::string instance_id, std::vector<std::string> command,
                                     Duration limit) = 0;
  // The same with somebody at its streams, and without a limit; the stream may outlive the driver. A
  // program that cannot be started is no error here: the stream's wait() tells. It ends with the run.
  // Fails also: ResourceExhausted, too many of this run; InvalidArgument, as check_exec().
  virtual Task<Result<std::unique_ptr<ExecStream>>> open_exec(std::string instance_id,
                                                              ExecSpec spec) {
    std::ignore = instance_id;
    std::ignore = spec;
    co_return Error{ErrorCode::Unimplemented, "this machine's runtime runs no commands for people"};
  }
  // Of all live runs at once. Unimplemented: this driver cannot tell.
  virtual Task<Result<std::vector<RunUsage>>> usage() {
    co_return Error{ErrorCode::Unimplemented, "this driver does not measure"};
  }
  // Lines written since the last call for this run, at most `lines_max`; empty if there are none. A
  // driver remembers at the next call what it handed out at this one, also that of 0 lines; what a
  // killed agent may not have kept is handed out again.
  virtual Task<Result<std::vector<LogChunk>>> read_log(std::string instance_id,
                                                       size_t lines_max) = 0;
};

}  // namespace mesclun::runtime
