// Runs instances as containers of Docker Engine, or of Podman at the same socket.
//
// The container has no network of the engine's: the driver gives it loopback with the metadata
// service's address, and a way out that is closed to private networks (walls/). Its first process is
// our starter (starter_main.cc). A restart goes on in the same container, whose files it finds.
#pragma once

#include "base/scope.h"
#include "runtime/docker/disk_watch.h"
#include "runtime/docker/docker_adoption.h"
#include "runtime/docker/image_keeper.h"
#include "runtime/run_table.h"

namespace mesclun::runtime {

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
  Task<Result<>> pull(std::string image, RegistryAccess access,
                      std::function<void(double)> progress) override;
  Task<Result<>> create(RunSpec spec) override;
  Result<std::optional<Listener>> metadata_listener(const std::string& instance_id) override;
  Task<Result<>> start(std::string instance_id) override;
  Task<Result<>> set_limits(std::string instance_id, RunLimits limits) override;
  Result<> set_image_caching(const std::string& instance_id, bool caching) override;
  Task<Result<RunExit>> wait(std::string instance_id) override;
  Task<Result<DiskExcess>> disk_excess(std::string instance_id) override;
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
  using RunPtr = std::shared_ptr<DockerRun>;

  DockerDriver(asio::any_io_executor executor, Clock& clock, DockerDriverSettings settings);

  Task<Result<>> prepare();
  // A new run that is in the table already: its container is made or taken over, and waits for
  // orders.
  Task<Result<>> make(RunPtr run, RunSpec spec);
  Task<Result<std::string>> make_container(const DockerRun& run, const RunSpec& spec);
  // Unless another run goes on in it.
  Task<void> drop_container(DockerRecord record);
  // Again and again, until it is gone; the next driver over the folder goes on with it.
  Task<Result<>> delete_later(std::string container);

  Clock& clock_;
  const DockerDriverSettings settings_;
  DriverFacts facts_;          // constant after open()
  bool egress_ = false;        // likewise
  std::string cgroup_parent_;  // likewise; empty: there is none
  Engine engine_;
  RunTable<DockerRun> runs_;
  DiskWatch disks_;
  ImageKeeper images_;
  Scope scope_;
};

}  // namespace mesclun::runtime
