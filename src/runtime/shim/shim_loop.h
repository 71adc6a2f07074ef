// The shim of one run: a loop over poll(2), in a process of its own with one thread.
//
//   Waiting --start--> Running --it ended, or stop and grace--> Killing --nothing left--> Draining
//      \--stop, or it cannot be started-------------------------^           --logs ended--> Done
//
// Killing repeats until no child is left: with a process namespace its init dies and everything
// with it; otherwise by control group, process group and descent (orphans come back to the shim,
// which is their subreaper).
#pragma once

#include "base/real_clock.h"
#include "runtime/process/run_files_log.h"
#include "runtime/shim/shim_control.h"
#include "runtime/shim/shim_process.h"

namespace mesclun::runtime {

// More than any exit.json.
inline constexpr size_t kExitBytes = 4096;

class ShimLoop {
 public:
  // The process is in the run's namespaces already; its current folder is the run's. `lifeline`:
  // its end takes the init with it.
  struct Setup {
    RunRecord record;
    ShimRecord state;
    pid_t init = 0;  // 0: no process namespace
    Descriptor lifeline;
    Descriptor control;
    Descriptor metadata;
    std::vector<Descriptor> services;  // listen at record.service_ports
    Descriptor signals;                // signalfd of SIGCHLD and SIGTERM
    FileDraft exit_file;               // exit.json to be; kExitBytes of it are on the disk already
  };
  explicit ShimLoop(Setup setup);
  // Until nothing of the run is left and its exit is on disk.
  void run();

 private:
  enum class Phase { Waiting, Running, Killing, Draining, Done };
  struct Connection {
    Descriptor socket;
    pid_t exec = 0;  // a command that runs for it; its answer is owed
    TimePoint exec_limit{};
    bool exec_timed_out = false;
  };

  void turn();
  int poll_timeout_ms() const;
  void on_time();
  void on_signals();
  void collect_children();
  void accept_connections();
  void serve(Connection& connection);
  ShimReply answer(const ShimRequest& request, Connection& connection,
                   std::vector<Descriptor>& descriptors);
  ShimReply start();
  ShimReply exec(const ShimRequest& request, Connection& connection);
  static ShimReply make_sockets(const ShimRequest& request, std::vector<Descriptor>& descriptors);
  void stop(Duration grace);
  void end_application(RunExit exit);
  void kill_all();
  void read_stream(Descriptor& pipe, char stream);
  void finish();
  ChildSpec child_spec() const;
  int64_t wall_ns() const { return to_unix_nanos(clock_.wall_now()); }

  RealClock clock_;
  Setup run_;
  LogWriter log_;
  Phase phase_ = Phase::Waiting;
  std::vector<std::unique_ptr<Connection>> connections_;
  Descriptor out_;  // pipes from the application
  Descriptor err_;
  pid_t application_ = 0;
  std::optional<RunExit> exit_;
  std::optional<TimePoint> kill_at_;  // end of the grace
  Duration grace_{};
  bool grace_ended_ = false;
  TimePoint kill_again_at_{};   // Killing
  TimePoint drain_until_{};     // Draining
  TimePoint look_around_at_{};  // is the run's folder still there?
};

}  // namespace mesclun::runtime
