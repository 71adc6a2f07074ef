// The command line of `mesclun-app`.
#pragma once

namespace mesclun::companion {

// The exit status.
int run_companion_command(int argc, char** argv, char** environment);

}  // namespace mesclun::companion
