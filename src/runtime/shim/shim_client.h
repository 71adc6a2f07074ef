// The agent's way to a shim.
#pragma once

#include "runtime/shim/shim_control.h"

namespace mesclun::runtime {

struct ShimAnswer {
  ShimReply reply;
  std::vector<Descriptor> descriptors;
};

// A fresh process of our own binary answers within milliseconds, on a crowded machine later.
inline constexpr Duration kShimLimit = 30s;

// One request over a connection of its own. The shim's own refusals come as errors. Unavailable:
// the shim has ended. A command (Exec) is killed when the caller gives up.
Task<Result<ShimAnswer>> ask_shim(std::string run_folder, ShimRequest request, Clock& clock,
                                  Duration limit);

// For a conversation of several words. A shim that is busy starting something takes a moment to
// accept; Unavailable: it has ended.
Task<Result<Descriptor>> connect_shim(std::string run_folder, Clock& clock);
// What a reply with an error says.
Error refusal(const ShimReply& reply);

// Completes when the process behind a pidfd has ended.
Task<Result<>> wait_for_process(int pidfd);

// A shim process of `program`, which lives on without us; what it says on standard output can be
// read from `answer`. What it has to complain about goes to `complaints`.
struct ShimProcess {
  pid_t pid = 0;  // our child: of `shim run` it is the keeper
  Descriptor answer;
};
Result<ShimProcess> spawn_shim(const std::string& program, std::vector<std::string> arguments,
                               const std::string& complaints);
// All of the answer.
Task<Result<std::string>> read_answer(Descriptor answer, Clock& clock, Duration limit);
// For a shim that is of no use; one that a keeper had ends soon after.
void kill_shim(pid_t pid);

}  // namespace mesclun::runtime
