// The application of one run and everything that descends from it, until nothing is left.
//
//   Waiting --start--> Running --it ended, or stop and grace--> Killing --nothing left--> Draining
//      \--stop, or it cannot be started-------------------------^           --logs ended--> Done
//
// Killing repeats until no child is left: with a process namespace its init dies and everything
// with it; otherwise by control group, process group and descent (orphans come back to the shim,
// which is their subreaper).
#pragma once

#include "base/clock.h"
#include "runtime/process/run_files_log.h"
#include "runtime/shim/shim_process.h"

namespace mesclun::runtime {

// More than any exit.json.
inline constexpr size_t kExitBytes = 4096;

// Runs on:  the shim's only thread; its current folder is the run's.
// Promise:  once done(), nothing of the run is alive and its exit is on disk.
class ShimApplication {
 public:
  struct Setup {
    RunRecord record;
    ShimRecord state;
    pid_t init = 0;       // 0: no process namespace
    Descriptor lifeline;  // its end takes the init with it
    FileDraft exit_file;  // exit.json to be; kExitBytes of it are on the disk already
  };
  ShimApplication(Setup setup, Clock& clock);

  const RunRecord& record() const { return run_.record; }
  bool running() const { return phase_ == Phase::Running; }
  bool killing() const { return phase_ == Phase::Killing; }
  bool done() const { return phase_ == Phase::Done; }
  // For a command beside it.
  ChildSpec child_spec() const;

  // Since when it runs, in unix ns; 0: it cannot be started, and the run ends.
  Result<int64_t> start();
  // SIGTERM, after `grace` SIGKILL. Again: the shorter patience counts.
  void stop(Duration grace);
  // Ends the run at once, unless it is ending already.
  void end(RunExit exit);

  // Its output; empty when that has ended.
  const Descriptor& out() const { return out_; }
  const Descriptor& err() const { return err_; }
  void read_out() { read_stream(out_, 'o'); }
  void read_err() { read_stream(err_, 'e'); }

  void on_child_ended(pid_t pid, int status);
  void on_no_child_left();
  void on_time();
  TimePoint next_time() const;

 private:
  enum class Phase { Waiting, Running, Killing, Draining, Done };

  void kill_all();
  void read_stream(Descriptor& pipe, char stream);
  void finish();
  int64_t wall_ns() const { return to_unix_nanos(clock_.wall_now()); }

  Setup run_;
  Clock& clock_;
  LogWriter log_;
  Phase phase_ = Phase::Waiting;
  Descriptor out_;  // pipes from the application
  Descriptor err_;
  pid_t application_ = 0;
  std::optional<RunExit> exit_;
  std::optional<TimePoint> kill_at_;  // end of the grace
  Duration grace_{};
  bool grace_ended_ = false;
  TimePoint kill_again_at_{};  // Killing
  TimePoint drain_until_{};    // Draining
};

}  // namespace mesclun::runtime
