// What instances use and how they are asked: an addition of ours, under /api/mesclun.
#pragma once

#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"
#include "cloud/usage_table.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class StatsEndpoint {
 public:
  StatsEndpoint(Clock& clock, FleetLoop& loop, const UsageTable& usage)
      : clock_(clock), loop_(loop), usage_(usage) {}

  // GET of the instances of a group, or of all groups of the project where `group` is empty.
  Answer handle(HttpRequest request, ProjectIdentity project, std::string group);

 private:
  Clock& clock_;
  FleetLoop& loop_;
  const UsageTable& usage_;
};

}  // namespace mesclun::cloud
