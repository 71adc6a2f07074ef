#pragma once

namespace mesclun::cloud {

// `mesclun cloud`: the control plane alone. Returns the exit status.
int run_cloud_command(int argc, char** argv);

}  // namespace mesclun::cloud
