// Instances (api.md §3, operations 9 to 14).
#pragma once

#include "cloud/accounts.h"
#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"
#include "cloud/rate_limiter.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Errors:   as the contract has them for each operation; they become problems in PublicApi.
// Lifetime: all that the constructor gets outlives it.
class InstanceEndpoint {
 public:
  InstanceEndpoint(Clock& clock, const Accounts& accounts, FleetLoop& loop)
      : clock_(clock), accounts_(accounts), loop_(loop) {}

  // `target.rest` is containers/GROUP/instances[/INSTANCE[/reallocate|recreate|restart]].
  Answer handle(HttpRequest request, ApiTarget target);

 private:
  // What a path below a group names.
  struct Place {
    ProjectIdentity project;
    std::string group;
    std::string instance;
    bool strict_go = false;  // who asks refuses members that it does not know
  };

  Answer list(Place place);
  Answer get(Place place);
  Answer patch(HttpRequest request, Place place);
  Answer act(HttpRequest request, Place place, std::string action);

  // Constant after construction.
  Clock& clock_;
  const Accounts& accounts_;
  FleetLoop& loop_;
  // The loop only.
  RateLimiter actions_{10};  // reallocate, recreate, restart, an organization each
};

}  // namespace mesclun::cloud
