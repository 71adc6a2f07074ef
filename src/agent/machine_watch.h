// Whether this machine can run anything new: its disk, and what runs are made of.
#pragma once

#include <functional>

#include "agent/state_store.h"
#include "base/notify.h"

namespace mesclun::agent {

// Runs on:  the agent's loop.
// Promise:  a machine that refused a run is in trouble from then on, until it was looked at again and
//           nothing was found, 10 s later or more: the longer, the sooner it failed again after it
//           had recovered. A disk that fills up is seen within half a minute, before it does harm.
// Lifetime: store, driver and clock outlive it.
class MachineWatch {
 public:
  struct Parts {
    asio::any_io_executor executor;
    Clock& clock;
    StateStore& store;
    runtime::ContainerDriver& driver;
    std::function<void()> changed;
  };
  explicit MachineWatch(Parts parts) : parts_(std::move(parts)), blamed_(parts_.executor) {}

  // Until cancelled.
  Task<Result<>> run();
  // It could not carry out something; what, for people.
  void blame(const std::string& what);
  // Why it takes nothing new; empty: it does.
  const std::string& trouble() const { return trouble_; }
  // The same, after a look at what is told at once.
  const std::string& look();

 private:
  void set(std::string trouble);

  const Parts parts_;
  Notify blamed_;
  std::string trouble_;
  TimePoint look_at_{};
  TimePoint recovered_{};
  Duration hold_{};
};

}  // namespace mesclun::agent
