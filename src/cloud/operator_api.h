// What only the operator of a cloud may do, under /api/operator: organizations, projects, keys and
// quotas here, machines and GPU classes in endpoints of their own.
#pragma once

#include <functional>

#include "cloud/accounts.h"
#include "cloud/gpu_class_endpoint.h"
#include "cloud/machine_endpoint.h"

namespace mesclun::cloud {

// Runs on: the cloud's loop.
class OperatorApi {
 public:
  OperatorApi(Accounts& accounts, MachineEndpoint& machines, GpuClassEndpoint& gpu_classes)
      : accounts_(accounts), machines_(machines), gpu_classes_(gpu_classes) {}

  Task<HttpResponse> handle(HttpRequest request, std::string rest);

 private:
  Answer route(HttpRequest request, std::vector<std::string> path);
  Answer organizations(HttpRequest request, std::vector<std::string> path);
  Answer create_organization(HttpRequest request);
  Answer projects(HttpRequest request, std::string organization_id);
  Answer quotas(HttpRequest request, std::string organization_id);
  Answer keys(HttpRequest request, std::vector<std::string> path);
  Answer create_key(HttpRequest request);

  Accounts& accounts_;
  MachineEndpoint& machines_;
  GpuClassEndpoint& gpu_classes_;
};

}  // namespace mesclun::cloud
