// The public API under /api/public, and our own additions for the same users under /api/mesclun.
#pragma once

#include "cloud/activity_endpoint.h"
#include "cloud/container_group_endpoint.h"
#include "cloud/instance_endpoint.h"
#include "cloud/organization_endpoint.h"

namespace mesclun::cloud {

struct PublicApiSettings {
  int32_t requests_per_minute = 240;  // of one key (api.md §1)
  SpecLimits specs;
};

// Who may call what, and how often. What is called is an endpoint's, one a resource.
//
// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class PublicApi {
 public:
  PublicApi(const asio::any_io_executor& executor, Clock& clock, store::Database& database,
            const Accounts& accounts, FleetLoop& loop, const GpuClasses& gpu_classes,
            LogTable& logs, PublicApiSettings settings)
      : clock_(clock),
        accounts_(accounts),
        groups_(database, accounts, loop, gpu_classes, settings.specs),
        instances_(clock, accounts, loop),
        organizations_(accounts, loop, gpu_classes),
        activity_(executor, clock, database, loop, logs),
        requests_(settings.requests_per_minute) {}

  // Paths under `prefix` are ours; `rest` is what follows it, without a leading slash.
  Task<HttpResponse> handle_public(HttpRequest request, std::string rest);
  Task<HttpResponse> handle_mesclun(HttpRequest request, std::string rest);
  void events_added(const std::set<std::string>& group_ids) { activity_.events_added(group_ids); }

 private:
  Result<ApiTarget> authorize(const HttpRequest& request, const std::string& rest) const;
  Answer route(HttpRequest request, ApiTarget target);

  // Constant after construction.
  Clock& clock_;
  const Accounts& accounts_;
  ContainerGroupEndpoint groups_;
  InstanceEndpoint instances_;
  OrganizationEndpoint organizations_;
  ActivityEndpoint activity_;
  // The loop only.
  RateLimiter requests_;
};

}  // namespace mesclun::cloud
