// The versions of a group, the way back to one of them, and how fast new ones come: an addition of
// ours, under /api/mesclun.
#pragma once

#include "cloud/accounts.h"
#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class UpdateEndpoint {
 public:
  UpdateEndpoint(store::Database& database, FleetLoop& loop) : database_(database), loop_(loop) {}

  static bool serves(std::string_view resource) {
    return resource == "versions" || resource == "rollback" || resource == "update-policy";
  }
  // `target.rest` is containers/NAME and one of
  //   versions       GET: {"items": [{"version", "begin_time", "current", "changes"}]}, newest first
  //   rollback       POST {"version": N or null for the one before}: {"version", "as_version"}
  //   update-policy  GET, PATCH {"at_once": "2", "25%" or null for the cloud's default}
  Answer handle(HttpRequest request, ApiTarget target);

 private:
  struct Known {
    Group group;
    std::vector<GroupVersion> former;  // newest first
  };

  Task<Result<Known>> find(std::string project_id, std::string name);
  Answer versions(std::string project_id, std::string name);
  Answer roll_back(HttpRequest request, std::string project_id, std::string name);
  Answer policy(std::string project_id, std::string name);
  Answer set_policy(HttpRequest request, std::string project_id, std::string name);

  store::Database& database_;
  FleetLoop& loop_;
};

}  // namespace mesclun::cloud
