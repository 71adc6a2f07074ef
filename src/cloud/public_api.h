// The public API under /api/public, and our own additions for the same users under /api/mesclun.
#pragma once

#include "cloud/accounts.h"
#include "cloud/fleet_loop.h"
#include "cloud/http_answer.h"
#include "cloud/log_table.h"
#include "cloud/rate_limiter.h"

namespace mesclun::cloud {

struct PublicApiSettings {
  int32_t requests_per_minute = 240;  // of one key (api.md §1)
};

// Runs on: the cloud's loop.
// Shape:   one function a resource, in *_endpoint.cc; here only who may call what.
class PublicApi {
 public:
  PublicApi(const asio::any_io_executor& executor, Clock& clock, store::Database& database,
            Accounts& accounts, FleetLoop& loop, LogTable& logs, PublicApiSettings settings)
      : clock_(clock),
        database_(database),
        accounts_(accounts),
        loop_(loop),
        logs_(logs),
        events_added_(executor),
        requests_(settings.requests_per_minute),
        actions_(10) {}

  // Paths under `prefix` are ours; `rest` is what follows it, without a leading slash.
  Task<HttpResponse> handle_public(HttpRequest request, std::string rest);
  Task<HttpResponse> handle_mesclun(HttpRequest request, std::string rest);
  void events_added() { events_added_.notify_all(); }

 private:
  using Answer = Task<Result<HttpResponse>>;

  // What the path of a request names, checked against its key.
  struct Target {
    std::string key_id;
    std::string organization_id;
    std::string organization_name;
    std::optional<ProjectIdentity> project;
    std::vector<std::string> rest;  // segments after organization and project
  };

  Result<Target> authorize(const HttpRequest& request, const std::string& rest);
  Answer route(HttpRequest request, Target target);

  // container_group_endpoint.cc
  Answer groups(HttpRequest request, Target target);
  Answer list_groups(ProjectIdentity project, std::string user_agent);
  Answer create_group(HttpRequest request, ProjectIdentity project);
  Answer one_group(HttpRequest request, ProjectIdentity project, std::string name);
  Answer patch_group(HttpRequest request, ProjectIdentity project, std::string name);
  Answer group_action(HttpRequest request, ProjectIdentity project, std::string name,
                      std::string action);
  Answer system_logs(ProjectIdentity project, std::string name);
  // instance_endpoint.cc
  Answer instances(HttpRequest request, Target target);
  Answer one_instance(HttpRequest request, ProjectIdentity project, std::string group,
                      std::string instance);
  Answer patch_instance(HttpRequest request, ProjectIdentity project, std::string group,
                        std::string instance);
  Answer instance_action(HttpRequest request, ProjectIdentity project, std::string group,
                         std::string instance, std::string action);
  // organization_endpoint.cc
  Answer quotas(HttpRequest request, Target target);
  Answer gpu_classes(HttpRequest request);
  // activity_endpoint.cc
  Answer activity(HttpRequest request, Target target);
  Answer events(HttpRequest request, std::string group_id);
  Answer container_logs(HttpRequest request, std::string group_id);

  // Reads the fleet in a turn of its loop: nobody is shown what is not stored.
  template <class T>
  Task<Result<T>> ask(std::function<Result<T>(Fleet&, Moment)> question) {
    auto out = std::make_shared<std::optional<T>>();
    FleetLoop::Command command = [out, question = std::move(question)](Fleet& fleet,
                                                                       Moment now) -> Result<> {
      TRY(*out, question(fleet, now));
      return {};
    };
    CO_TRY_DO(co_await loop_.submit(std::move(command)));
    co_return std::move(**out);
  }
  Task<Result<std::string>> group_id(ProjectIdentity project, std::string name);

  Clock& clock_;
  store::Database& database_;
  Accounts& accounts_;
  FleetLoop& loop_;
  LogTable& logs_;
  Notify events_added_;
  RateLimiter requests_;
  RateLimiter actions_;  // reallocate, recreate, restart, an organization each
};

}  // namespace mesclun::cloud
