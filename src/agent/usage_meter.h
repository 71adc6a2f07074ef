// What the instances of this node use: processor time and memory, for people to see.
#pragma once

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
  UsageMeter(Clock& clock, runtime::ContainerDriver& driver) : clock_(clock), driver_(driver) {}

  // Since the last call. Unimplemented: the driver cannot tell.
  Task<Result<link::Usage>> measure();

 private:
  Clock& clock_;
  runtime::ContainerDriver& driver_;
  std::vector<runtime::RunUsage> last_;
  TimePoint measured_{};
};

}  // namespace mesclun::agent
