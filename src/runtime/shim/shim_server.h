// The shim's answers to the agent.
#pragma once

#include <set>

#include "runtime/shim/shim_application.h"
#include "runtime/shim/shim_control.h"

struct pollfd;

namespace mesclun::runtime {

// Connections over the run's control socket, and the commands that run for them. One that is attached
// has a guard of its own, which takes its connection along.
//
// Runs on:  the shim's only thread; never blocks.
// Promise:  every request is answered once. A command ends with its limit or its connection.
// Lifetime: the application and the clock outlive it.
class ShimServer {
 public:
  struct Setup {
    Descriptor control;
    Descriptor metadata;               // the agent serves them; it gets copies
    std::vector<Descriptor> services;  // listen at record.service_ports
  };
  ShimServer(Setup setup, ShimApplication& application, Clock& clock);

  // What it waits for, and what has come of that.
  void add_waits(std::vector<pollfd>& waits) const;
  void serve(std::span<const pollfd> waits);

  void on_child_ended(pid_t pid, int status);
  void on_time();
  TimePoint next_time() const;

 private:
  struct Connection {
    Descriptor socket;
    pid_t exec = 0;  // a command that runs for it; its answer is owed
    TimePoint exec_limit{};
    bool exec_timed_out = false;
  };

  void accept();
  void serve(Connection& connection);
  // `descriptors`: what came with the request, then what goes with the answer.
  ShimReply answer(const ShimRequest& request, Connection& connection,
                   std::vector<Descriptor>& descriptors);
  ShimReply exec(const ShimRequest& request, Connection& connection);
  ShimReply attach(const ShimRequest& request, Connection& connection,
                   std::span<const Descriptor> ends);
  size_t commands() const;

  const Setup sockets_;
  ShimApplication& application_;
  Clock& clock_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::set<pid_t> guards_;  // of commands that were attached
};

}  // namespace mesclun::runtime
