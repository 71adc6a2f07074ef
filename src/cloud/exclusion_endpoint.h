// Which nodes are not offered to a group, and why: an addition of ours, under /api/mesclun.
#pragma once

#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class ExclusionEndpoint {
 public:
  explicit ExclusionEndpoint(FleetLoop& loop) : loop_(loop) {}

  // `target.rest` is containers/NAME/exclusions[/MACHINE]: GET lists, DELETE lifts one or all.
  Answer handle(HttpRequest request, ApiTarget target);

 private:
  Answer list(ProjectIdentity project, std::string group);
  Answer lift(ProjectIdentity project, std::string group, std::string machine_id);

  FleetLoop& loop_;
};

}  // namespace mesclun::cloud
