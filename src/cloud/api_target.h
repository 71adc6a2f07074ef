// What the path of a request names, checked against its key.
#pragma once

#include "cloud/fleet_groups.h"
#include "cloud/http_answer.h"

namespace mesclun::cloud {

using Answer = Task<Result<HttpResponse>>;

struct ApiTarget {
  std::string key_id;
  std::string organization_id;
  std::optional<ProjectIdentity> project;
  std::vector<std::string> rest;  // segments after organization and project
};

}  // namespace mesclun::cloud
