// One run as the agent knows it, and its end.
#pragma once

#include "base/notify.h"
#include "runtime/process/run_files_log.h"
#include "runtime/shim/shim_client.h"

namespace mesclun::runtime {

// Loop only. Kept alive by whoever works with it, also when the driver has forgotten it.
struct Run {
  Run(const asio::any_io_executor& executor, RunRecord what, std::string where)
      : record(std::move(what)), folder(std::move(where)), log(folder), changed(executor) {}

  RunRecord record;
  std::string folder;  // runs/<instance_id>
  LogReader log;
  Notify changed;  // when `exit` is there
  ShimRecord shim;
  Descriptor process;   // pidfd of the shim
  Descriptor keeper;    // pidfd of its keeper
  Descriptor metadata;  // listens for the metadata service; a copy of the shim's own
  std::vector<std::shared_ptr<Listener>> services;  // their other ends are the machine's services
  std::vector<Descriptor> sockets_v4;               // in stock, of its network
  std::vector<Descriptor> sockets_v6;
  int64_t start_time = 0;
  std::optional<RunExit> exit;
  bool ready = false;  // create() is through
};

// Until the shim has ended, and then sees to it that nothing of the run is left. Sets `exit`.
Task<Result<>> watch_run(std::shared_ptr<Run> run, Clock& clock);
// The second half, for a shim that has ended.
Task<Result<>> settle_run(std::shared_ptr<Run> run, Clock& clock);
// Whose shim is known but has ended cannot be asked for a socket; this one is for the living.
Task<Result<Descriptor>> take_socket(std::shared_ptr<Run> run, int family, Clock& clock,
                                     Duration limit);

}  // namespace mesclun::runtime
