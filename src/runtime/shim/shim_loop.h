// The shim of one run: a loop over poll(2), in a process of its own with one thread.
#pragma once

#include "base/real_clock.h"
#include "runtime/shim/shim_server.h"

namespace mesclun::runtime {

// Brings signals, ended children, output, requests and time to the application and its server.
class ShimLoop {
 public:
  // The process is in the run's namespaces already; its current folder is the run's.
  struct Setup {
    ShimApplication::Setup application;
    ShimServer::Setup server;
    Descriptor signals;  // signalfd of SIGCHLD, SIGTERM, SIGINT and SIGHUP
  };
  explicit ShimLoop(Setup setup);
  // Until nothing of the run is left and its exit is on disk.
  void run();

 private:
  void turn();
  int poll_timeout_ms() const;
  void on_signals();
  void collect_children();
  void look_around();

  RealClock clock_;
  const Descriptor signals_;
  ShimApplication application_;
  ShimServer server_;
  TimePoint look_around_at_;  // is the run's folder still there?
};

}  // namespace mesclun::runtime
