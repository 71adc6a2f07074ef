// Runs instances as processes of this machine, for development and for fleets without a container
// engine. The image is only a name: programs are those of the machine.
//
// Every run has a process of its own beside it (`mesclun shim`) that outlives the agent; the
// driver can be killed and made again over the same folder at any time. What a run's walls are made
// of depends on what the machine allows, found out once by trying:
//
//   root                namespaces for network, processes, host name, IPC; limits for CPU, memory
//   another user        the same namespaces inside a user namespace, if the kernel lets it; limits
//                       only where a writable control group was delegated
//   neither             processes of the host: ends by descent, metadata service on a port of
//                       127.0.0.1 that SALAD_METADATA_URI names
//
// What is missing is told by facts().warnings. None of it is a wall against hostile code:
// applications run as the agent's user and see the machine's files.
//
// Under systemd the agent's unit needs KillMode=process, or a restart of the agent ends the runs.
#pragma once

#include "base/scope.h"
#include "runtime/process/process_driver_services.h"
#include "runtime/process/run_files_trash.h"
#include "runtime/shim/shim.h"
#include "runtime/walls/cgroup.h"
#include "runtime/walls/netns_egress.h"

namespace mesclun::runtime {

struct ProcessDriverSettings {
  std::string data_folder;                      // absolute; made if missing
  std::string shim_program = "/proc/self/exe";  // understands "shim"
  // For applications whose environment names none; HOME is then their working folder.
  std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  size_t log_bytes_max = 4 * 1024 * 1024;  // of one log file of two a run
  // Services on this machine's loopback that applications reach at the same address, such as the
  // job queue's; only those with a numeric 127.0.0.1. At most 8.
  std::vector<Endpoint> services;
  bool use_namespaces = true;
  bool use_cgroups = true;
  // Applications with a network of their own reach other machines. Only as root; switches on IP
  // forwarding and adds a table `mesclun` to the packet filter.
  bool use_egress = true;
};

// Runs on:  one loop, which outlives it; folders are deleted on a thread of its own.
// Promise:  a run ends with everything it started, also if its shim is killed, whatever walls
//           the machine allows.
// Lifetime: co_await close() before the destructor; runs go on.
class ProcessDriver final : public ContainerDriver {
 public:
  // Tries out the machine and adopts what runs. FailedPrecondition: another agent uses the folder.
  static Task<Result<std::unique_ptr<ProcessDriver>>> open(asio::any_io_executor executor,
                                                           Clock& clock,
                                                           ProcessDriverSettings settings);

  Task<void> close() override;
  DriverFacts facts() const override { return facts_; }
  Task<Result<std::vector<RunInfo>>> list() override;
  Task<Result<>> create(RunSpec spec) override;
  Result<std::optional<Listener>> metadata_listener(const std::string& instance_id) override;
  Task<Result<>> start(std::string instance_id) override;
  Task<Result<RunExit>> wait(std::string instance_id) override;
  Task<Result<>> stop(std::string instance_id, Duration grace) override;
  Task<Result<>> remove(std::string instance_id) override;
  Task<Result<ConnPtr>> connect(std::string instance_id, uint16_t port, bool ipv6_first,
                                Duration limit) override;
  Task<Result<int32_t>> exec(std::string instance_id, std::vector<std::string> command,
                             Duration limit) override;
  Task<Result<std::vector<LogChunk>>> read_log(std::string instance_id, size_t lines_max) override;

 private:
  using RunPtr = std::shared_ptr<Run>;

  ProcessDriver(asio::any_io_executor executor, Clock& clock, ProcessDriverSettings settings);

  Task<Result<>> prepare();
  Task<Result<>> try_machine();
  Task<Result<>> adopt_all();
  Task<Result<>> adopt(std::string instance_id);
  void describe(const ShimProbe& probe, const std::string& no_egress);

  Result<RunRecord> make_record(const RunSpec& spec) const;
  Result<> make_folders(Run& run);
  Task<Result<>> launch(RunPtr run);
  Task<Result<>> give_egress(RunPtr run);
  Task<Result<>> attach(RunPtr run);
  void discard(const Run& run);
  bool uses_folder(std::string_view name, const Run* except) const;
  Result<RunPtr> find(const std::string& instance_id) const;

  Clock& clock_;
  ProcessDriverSettings settings_;
  RunFiles files_;
  std::optional<FolderLock> lock_;
  Cgroups cgroups_;
  Isolation isolation_;
  bool egress_ = false;
  DriverFacts facts_;
  std::map<std::string, RunPtr> runs_;
  std::optional<Trash> trash_;
  Scope scope_;
};

}  // namespace mesclun::runtime
