// What the instances of this node use, processor time and memory, and what is read of the machine
// itself: for people to see.
#pragma once

#include <functional>

#include "link/messages.h"
#include "runtime/driver.h"

namespace mesclun::agent {

// What runs used between two measurements; of one that is in neither or only in the later there is
// no processor time yet. `elapsed` is above zero.
std::vector<link::InstanceUsage> usage_between(const std::vector<runtime::RunUsage>& before,
                                               const std::vector<runtime::RunUsage>& after,
                                               Duration elapsed);

// Runs on:  the agent's loop.
// Cost:     a few files of each run, or one look at all processes of the machine.
// Lifetime: clock and driver outlive it.
class UsageMeter {
 public:
  // What meters of the machine read last.
  using ReadMachine = std::function<link::MachineReading()>;

  // Without `read_machine` nothing is said of the machine.
  UsageMeter(Clock& clock, runtime::ContainerDriver& driver, ReadMachine read_machine = {})
      : clock_(clock), driver_(driver), read_machine_(std::move(read_machine)) {}

  // Since the last call. Unimplemented: the driver cannot tell, and nothing is said of the machine.
  Task<Result<link::Usage>> measure();

 private:
  Clock& clock_;
  runtime::ContainerDriver& driver_;
  const ReadMachine read_machine_;
  std::vector<runtime::RunUsage> last_;
  TimePoint measured_{};
};

}  // namespace mesclun::agent
