#pragma once

namespace mesclun {

// `mesclun up`: a whole cloud on this machine, in the foreground. Returns the exit status.
int run_up_command(int argc, char** argv);

}  // namespace mesclun
