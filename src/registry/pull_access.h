// Asks registries, and those whom they name, for the right to pull: the calls of pull_flow.h.
#pragma once

#include <optional>

#include "registry/pull_flow.h"

namespace mesclun::registry {

struct PullAccessSettings {
  // For development: registries and realms of private networks and of this machine, also without
  // TLS.
  bool private_addresses = false;
  std::optional<HttpUrl> ecr;  // for development: in place of AWS's own API
  Duration call_limit = 10s;   // of each of three calls at most
};

// Errors: as in pull_flow.h; DeadlineExceeded; PermissionDenied also for an address that is not
// called. Reads no more than 256 KiB of any answer.
Task<Result<PullAccess>> fetch_pull_access(Clock& clock, PullAccessSettings settings,
                                           ImageName image,
                                           api::RegistryAuthentication credentials);

}  // namespace mesclun::registry
