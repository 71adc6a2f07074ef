// The public API under /api/public, and our own additions for the same users under /api/mesclun.
#pragma once

#include "cloud/activity_endpoint.h"
#include "cloud/container_group_endpoint.h"
#include "cloud/exclusion_endpoint.h"
#include "cloud/exec_endpoint.h"
#include "cloud/insight_endpoint.h"
#include "cloud/instance_endpoint.h"
#include "cloud/log_entry_endpoint.h"
#include "cloud/organization_endpoint.h"
#include "cloud/stats_endpoint.h"
#include "cloud/update_endpoint.h"

namespace mesclun::cloud {

struct PublicApiSettings {
  int32_t requests_per_minute = 240;  // of one key (api.md §1)
  SpecLimits specs;
  LogSearchSettings log_search;
  // Of one key, for each kind of activity: logs, events.
  int32_t activity_requests_per_minute = 600;
  size_t activity_waiting_max = 64;  // calls of one key that are held back at once
  ExecLimits execs;
};

// Who may call what, and how often. What is called is an endpoint's, one a resource.
//
// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class PublicApi {
 public:
  PublicApi(const asio::any_io_executor& executor, Clock& clock, Random& random,
            store::Database& database, const Accounts& accounts, FleetLoop& loop, NodeHub& nodes,
            const GpuClasses& gpu_classes, LogTable& logs, const UsageTable& usage,
            PublicApiSettings settings)
      : clock_(clock),
        accounts_(accounts),
        groups_(database, accounts, loop, gpu_classes, settings.specs),
        instances_(clock, accounts, loop),
        organizations_(accounts, loop, gpu_classes),
        activity_(executor, clock, database, loop, logs),
        exclusions_(loop),
        stats_(clock, loop, usage),
        updates_(database, loop),
        insights_(loop),
        log_entries_(clock, accounts, logs, settings.log_search),
        execs_(executor, clock, random, accounts, loop, nodes, settings.execs),
        settings_(settings),
        requests_(settings.requests_per_minute),
        activity_requests_(settings.activity_requests_per_minute) {}

  // Paths under `prefix` are ours; `rest` is what follows it, without a leading slash.
  Task<HttpResponse> handle_public(HttpRequest request, std::string rest);
  Task<HttpResponse> handle_mesclun(HttpRequest request, std::string rest);
  void events_added(const std::set<std::string>& group_ids) { activity_.events_added(group_ids); }
  // Ends what outlives its request.
  Task<void> stop() { return execs_.stop(); }

 private:
  // Whose call it is. Unauthenticated: of nobody who is known.
  Result<const ApiKey*> key_of(const HttpRequest& request) const;
  Result<ApiTarget> authorize(const Result<const ApiKey*>& key, const std::string& rest) const;
  // The answer to a call beyond the limit of its key; nothing if it may pass. Calls of unknown keys
  // are nobody's, and cost nothing.
  std::optional<HttpResponse> refuse_excess(const Result<const ApiKey*>& key, RateLimiter& limiter,
                                            std::string_view route);
  Answer route(HttpRequest request, ApiTarget target);
  // Those of our additions that answer at once; nothing: it is none.
  Task<std::optional<HttpResponse>> answer_at_once(HttpRequest& request, const ApiTarget& target);

  // Constant after construction.
  Clock& clock_;
  const Accounts& accounts_;
  ContainerGroupEndpoint groups_;
  InstanceEndpoint instances_;
  OrganizationEndpoint organizations_;
  ActivityEndpoint activity_;
  ExclusionEndpoint exclusions_;
  StatsEndpoint stats_;
  UpdateEndpoint updates_;
  InsightEndpoint insights_;
  LogEntryEndpoint log_entries_;
  ExecEndpoint execs_;
  const PublicApiSettings settings_;
  // The loop only.
  RateLimiter requests_;
  RateLimiter activity_requests_;
  std::map<std::string, size_t> waiting_;  // calls for activity under way, by key
};

}  // namespace mesclun::cloud
