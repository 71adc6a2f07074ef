#pragma once

namespace mesclun::sim {

// `mesclun sim`. Returns the exit status: 0, or 1 if something was violated.
int run_sim_command(int argc, char** argv);

}  // namespace mesclun::sim
