// An organization's quotas and GPU classes (api.md §9 and §10).
#pragma once

#include "cloud/accounts.h"
#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class OrganizationEndpoint {
 public:
  OrganizationEndpoint(const Accounts& accounts, FleetLoop& loop)
      : accounts_(accounts), loop_(loop) {}

  // `target.rest` is quotas or gpu-classes.
  Answer handle(HttpRequest request, ApiTarget target);

 private:
  Answer quotas(std::string organization_id);

  const Accounts& accounts_;
  FleetLoop& loop_;
};

}  // namespace mesclun::cloud
