// Runs instances as containers of Docker Engine, or of Podman at the same socket.
//
// The container has no network of the engine's: the driver gives it loopback with the metadata
// service's address, and a way out that is closed to private networks (walls/). Its first process is
// our starter (starter_main.cc). A restart goes on in the same container, whose files it finds.
#pragma once

#include "base/scope.h"
#include "runtime/docker/container_config.h"
#include "runtime/docker/docker_run.h"
#include "runtime/run_table.h"

namespace mesclun::runtime {

struct DockerDriverSettings {
  std::string data_folder;  // absolute; made if missing; for one driver at a time
  Endpoint engine{.host = "/var/run/docker.sock", .port = 0, .is_unix = true};
  bool use_egress = true;                  // needs nft
  size_t log_bytes_max = 8 * 1024 * 1024;  // of one log file of two
  int64_t processes_max = 16'384;          // of a container
};

// create() answers NotFound for an image that the engine does not have.
class DockerDriver final : public ContainerDriver {
 public:
  // Asks the engine and adopts what runs. FailedPrecondition: another agent uses the folder;
  // Unavailable: no engine answers; PermissionDenied: we are not root.
  static Task<Result<std::unique_ptr<DockerDriver>>> open(asio::any_io_executor executor,
                                                          Clock& clock,
                                                          DockerDriverSettings settings);

  Task<void> close() override;
  DriverFacts facts() const override { return facts_; }
  Task<Result<std::vector<RunInfo>>> list() override;
  Task<Result<>> check() override;
  Task<Result<bool>> has_image(std::string image) override;
  Task<Result<>> pull(std::string image, std::function<void(double)> progress) override;
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
  Task<Result<std::vector<RunUsage>>> usage() override;
  Task<Result<std::vector<LogChunk>>> read_log(std::string instance_id, size_t lines_max) override;

 private:
  using RunPtr = std::shared_ptr<DockerRun>;

  DockerDriver(asio::any_io_executor executor, Clock& clock, DockerDriverSettings settings);

  Task<Result<>> prepare();
  Task<Result<>> adopt_all();
  Task<Result<>> adopt(std::string instance_id);
  std::optional<int64_t> begin_of_next(const DockerRun& run) const;
  Task<Result<>> remove_strangers();
  // A new run that is in the table already: its container is made or taken over, and waits for
  // orders.
  Task<Result<>> make(RunPtr run, RunSpec spec);
  Task<Result<std::string>> make_container(const DockerRun& run, const RunSpec& spec);
  // Network and metadata service of a container that runs.
  Task<Result<>> connect_container(RunPtr run, bool fresh);
  // Holds the run, which may be forgotten meanwhile.
  Task<Result<>> follow_log(RunPtr run, std::optional<int64_t> until);
  // Unless another run goes on in it.
  Task<void> drop_container(DockerRecord record);
  // Again and again, until it is gone; the next driver over the folder goes on with it.
  Task<Result<>> delete_later(std::string container);

  Clock& clock_;
  const DockerDriverSettings settings_;
  DriverFacts facts_;    // constant after open()
  bool egress_ = false;  // likewise
  Engine engine_;
  RunTable<DockerRun> runs_;
  Scope scope_;
};

}  // namespace mesclun::runtime
