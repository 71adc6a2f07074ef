// An organization's quotas, GPU classes, and what machines are available (api.md §9 and §10).
#pragma once

#include "cloud/accounts.h"
#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"
#include "cloud/gpu_classes.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class OrganizationEndpoint {
 public:
  OrganizationEndpoint(const Accounts& accounts, FleetLoop& loop, const GpuClasses& gpu_classes)
      : accounts_(accounts), loop_(loop), gpu_classes_(gpu_classes) {}

  // `target.rest` is quotas, gpu-classes, or availability with the kind that is asked for.
  Answer handle(HttpRequest request, ApiTarget target);

 private:
  Answer availability(HttpRequest request, std::string kind);
  Answer quotas(std::string organization_id, bool strict_go);

  const Accounts& accounts_;
  FleetLoop& loop_;
  const GpuClasses& gpu_classes_;
};

}  // namespace mesclun::cloud
