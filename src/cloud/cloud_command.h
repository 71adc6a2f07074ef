#pragma once

#include <functional>
#include <string>

namespace mesclun::cloud {

class CloudHost;

// `mesclun cloud`: the control plane alone. `ready` is called when it serves, with its data folder.
// Returns the exit status.
using CloudReady = std::function<void(const CloudHost& host, const std::string& data)>;
int run_cloud_command(int argc, char** argv, const CloudReady& ready);

}  // namespace mesclun::cloud
