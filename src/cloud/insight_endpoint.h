// What the public API does not tell of groups: how many instances are ready, how often they failed,
// which machines they are on, and whether waiting makes sense. An addition of ours, under
// /api/mesclun.
#pragma once

#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class InsightEndpoint {
 public:
  explicit InsightEndpoint(FleetLoop& loop) : loop_(loop) {}

  // `path` is what follows the project.
  static bool serves(const std::vector<std::string>& path) {
    return path[0] == "containers" &&
           (path.size() == 1 ||
            (path.size() == 3 && (path[2] == "placement" || path[2] == "instances")));
  }
  // All are GET. `target.rest` is
  //   containers                  {"items": [{"name", "ready", "restarts"}]}, by name
  //   containers/NAME/placement   {"waiting", "may_change", "reason"}
  //   containers/NAME/instances   {"items": [{"instance_id", "machine_id", "hostname", "silent"}]}
  Answer handle(HttpRequest request, ApiTarget target);

 private:
  FleetLoop& loop_;
};

}  // namespace mesclun::cloud
