// The hidden subcommand `mesclun shim`: one process a run, which supervises the application and
// outlives the agent.
//
//   shim run FOLDER     supervises the run of that folder; answers on standard output with a
//                       ShimReady once it can be reached, and ends when nothing of the run is left
//   shim probe [CGROUP ...]   what this machine lets us do, as a ShimProbe on standard output
#pragma once

#include "runtime/process/run_files.h"

namespace mesclun::runtime {

int run_shim_command(int argc, char** argv);

struct ShimReady {
  std::string error;  // empty: it waits for orders
};
BOOST_DESCRIBE_STRUCT(ShimReady, (), (error))

struct ShimProbe {
  Isolation isolation;               // the best that works
  std::vector<std::string> cgroups;  // those of the arguments that can be joined
  std::string isolation_problem;     // why not more
  std::string cgroup_problem;
};
BOOST_DESCRIBE_STRUCT(ShimProbe, (), (isolation, cgroups, isolation_problem, cgroup_problem))

}  // namespace mesclun::runtime
