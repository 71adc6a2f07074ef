// The file that remembers passed checks, so that a restart on the same machine skips them.
#pragma once

#include <string>
#include <vector>

#include "companion/initial_checks.h"

namespace mesclun::companion {

// Changes when a target or a limit of the checks does. Nothing secret can be read from it.
std::string checks_fingerprint(const ChecksConfig& config);

// When these checks passed on this machine, as written; NotFound with the reason why the file does
// not count: it is absent, of another machine or of other checks.
Result<std::string> read_passed_checks(const std::string& path, const std::string& machine_id,
                                       const std::string& fingerprint);

// Replaces the file at once: a reader finds the old one or the new one.
Result<> write_passed_checks(const std::string& path, const std::string& machine_id,
                             const std::string& fingerprint, WallTime now,
                             const std::vector<CheckItem>& items);

}  // namespace mesclun::companion
