// One run of an instance on the driver: creates, starts, probes and ends it, and keeps what was
// seen of it.
#pragma once

#include "agent/agent_settings.h"
#include "agent/next_step.h"
#include "agent/probe_state.h"
#include "base/scope.h"

namespace mesclun::agent {

class InstanceRun {
 public:
  // Told at once, on the loop; may not destroy the run.
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void on_probe(api::ProbeKind kind, const RunHealth::Change& change,
                          const std::string& detail) = 0;
    // exit(), refused(), failed_probe() or disk_excess() has a value now.
    virtual void on_end_seen() = 0;
  };

  struct Parts {
    asio::any_io_executor executor;
    Clock& clock;
    runtime::ContainerDriver& driver;
    MetadataHost& host;
    Observer& observer;
    HeaderRule metadata_header = HeaderRule::Strict;
  };

  // end() or let_be() before destruction.
  InstanceRun(Parts parts, std::string instance_id, const api::GroupSpec& spec);

  // Tries three times. What the machine refuses then is in refused(), not an error: Cancelled is
  // the only one.
  Task<Result<>> create(runtime::RunSpec spec);
  // Answers metadata from here on; also for an adopted run.
  void serve_metadata();
  // True if the application began; otherwise exit() or refused() tells why not.
  Task<Result<bool>> start();
  // Watches and probes what start() started.
  void begin_probes() { begin_probes(std::nullopt, false); }
  // Watches what an earlier agent started.
  void adopt(bool started, bool ready);
  // Never started: exit with a text instead of a process.
  void refuse_start(std::string detail);
  // Never created.
  void refuse_run(std::string why) { refused_ = std::move(why); }

  // No more probes; SIGTERM, grace, SIGKILL; then no more metadata. The driver still knows the run.
  Task<Result<>> end(Duration grace);
  // Only stops watching: the application runs on, for the next agent to adopt.
  Task<void> let_be();

  const std::string& instance_id() const { return instance_id_; }
  const std::optional<runtime::RunExit>& exit() const { return exit_; }
  const std::optional<FailedProbe>& failed_probe() const { return failed_probe_; }
  const std::optional<runtime::DiskExcess>& disk_excess() const { return disk_excess_; }
  const std::string& refused() const { return refused_; }
  const RunHealth& health() const { return health_; }
  MetadataService& metadata() { return metadata_; }

 private:
  Task<Result<bool>> has_begun();
  Task<Result<>> wait_for_exit();
  Task<Result<>> wait_for_excess();
  Task<Result<>> probe(api::ProbeKind kind);
  void begin_probes(std::optional<bool> was_started, bool was_ready);
  void spawn_probes();

  // Constant after construction.
  const Parts parts_;
  const std::string instance_id_;
  const bool ipv6_first_;

  RunHealth health_;
  MetadataService metadata_;
  Notify ended_;  // exit_ or refused_ has a value
  Scope probes_;
  Scope waiter_;
  std::optional<runtime::RunExit> exit_;
  std::optional<FailedProbe> failed_probe_;
  std::optional<runtime::DiskExcess> disk_excess_;
  std::string refused_;
};

}  // namespace mesclun::agent
