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

#include "runtime/process/run_parts.h"

namespace mesclun::runtime {

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
  DriverFacts facts() const override { return walls_.facts; }
  Task<Result<std::vector<RunInfo>>> list() override;
  Task<Result<>> check() override;
  Task<Result<>> create(RunSpec spec) override;
  Result<std::optional<Listener>> metadata_listener(const std::string& instance_id) override;
  Task<Result<>> start(std::string instance_id) override;
  Task<Result<>> set_limits(std::string instance_id, RunLimits limits) override;
  Task<Result<RunExit>> wait(std::string instance_id) override;
  Task<Result<>> stop(std::string instance_id, Duration grace) override;
  Task<Result<>> remove(std::string instance_id) override;
  Task<Result<ConnPtr>> connect(std::string instance_id, uint16_t port, bool ipv6_first,
                                Duration limit) override;
  Task<Result<int32_t>> exec(std::string instance_id, std::vector<std::string> command,
                             Duration limit) override;
  Task<Result<std::unique_ptr<ExecStream>>> open_exec(std::string instance_id,
                                                      ExecSpec spec) override;
  Task<Result<std::vector<RunUsage>>> usage() override;
  Task<Result<std::vector<LogChunk>>> read_log(std::string instance_id, size_t lines_max) override;

 private:
  ProcessDriver(asio::any_io_executor executor, Clock& clock, ProcessDriverSettings settings);

  Task<Result<>> prepare();
  RunParts parts() {
    return {
        .settings = settings_, .walls = walls_, .runs = runs_, .scope = scope_, .clock = clock_};
  }

  Clock& clock_;
  const ProcessDriverSettings settings_;
  MachineWalls walls_;  // constant after open()
  RunTable<Run> runs_;
  Scope scope_;
};

}  // namespace mesclun::runtime
