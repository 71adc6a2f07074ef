// What only the operator of a cloud may do, under /api/operator: organizations, projects, keys,
// quotas, and a look at the machines.
#pragma once

#include <functional>

#include "cloud/accounts.h"
#include "cloud/fleet_loop.h"
#include "cloud/gpu_class_endpoint.h"
#include "cloud/http_answer.h"

namespace mesclun::cloud {

// Runs on: the cloud's loop.
class OperatorApi {
 public:
  OperatorApi(Accounts& accounts, FleetLoop& loop, GpuClassEndpoint& gpu_classes,
              std::function<void()> keys_changed)
      : accounts_(accounts),
        loop_(loop),
        gpu_classes_(gpu_classes),
        keys_changed_(std::move(keys_changed)) {}

  Task<HttpResponse> handle(HttpRequest request, std::string rest);

 private:
  using Answer = Task<Result<HttpResponse>>;

  Answer route(HttpRequest request, std::vector<std::string> path);
  Answer organizations(HttpRequest request, std::vector<std::string> path);
  Answer create_organization(HttpRequest request);
  Answer projects(HttpRequest request, std::string organization_id);
  Answer quotas(HttpRequest request, std::string organization_id);
  Answer keys(HttpRequest request, std::vector<std::string> path);
  Answer create_key(HttpRequest request);
  Answer nodes();

  Accounts& accounts_;
  FleetLoop& loop_;
  GpuClassEndpoint& gpu_classes_;
  std::function<void()> keys_changed_;
};

}  // namespace mesclun::cloud
