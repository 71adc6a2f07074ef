// Container groups (api.md §3, operations 1 to 8).
#include <fmt/format.h>

#include "api/gpu_class.h"
#include "cloud/fleet_table.h"
#include "cloud/public_api.h"

namespace mesclun::cloud {

namespace {

constexpr std::string_view kMergePatch = "application/merge-patch+json";

// What this version cannot do is refused with a reason, rather than accepted and forgotten.
Result<> check_supported(const api::GroupSpec& spec) {
  const auto refuse = [](std::string_view path, std::string_view what) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{}: {} are not supported by this version of Mesclun", path, what)};
  };
  const std::pair<std::string_view, const std::optional<api::Probe>*> probes[] = {
      {"/liveness_probe", &spec.liveness_probe},
      {"/readiness_probe", &spec.readiness_probe},
      {"/startup_probe", &spec.startup_probe}};
  for (const auto& [path, probe] : probes) {
    if (*probe && (*probe)->grpc) return refuse(path, "gRPC probes");
  }
  if (spec.queue_connection) return refuse("/queue_connection", "job queues");
  if (spec.queue_autoscaler) return refuse("/queue_autoscaler", "job queues");
  if (spec.scheduled_scaling_enabled) {
    return refuse("/scheduled-scaling-enabled", "scheduled scaling actions");
  }
  if (spec.container.logging) return refuse("/container/logging", "external log sinks");
  return {};
}

json::object group_document(const Fleet& fleet, const Group& group, std::string_view user_agent) {
  json::object document = api::group_json(group.spec, fleet.facts(group));
  if (api::is_strict_go_client(user_agent)) api::drop_members_unknown_to_go(document);
  return document;
}

std::string user_agent_of(const HttpRequest& request) {
  return std::string(request.head.headers.find("User-Agent").value_or(""));
}

Error no_such_group(std::string_view name) {
  return Error::not_found(fmt::format("no container group '{}'", name.substr(0, 100)));
}

}  // namespace

PublicApi::Answer PublicApi::groups(HttpRequest request, Target target) {
  const std::string method = request.head.method;
  const std::vector<std::string>& path = target.rest;
  if (path.size() == 1) {
    if (method == "GET") co_return co_await list_groups(*target.project, user_agent_of(request));
    if (method == "POST") co_return co_await create_group(std::move(request), *target.project);
    co_return method_not_allowed("GET, POST");
  }
  if (path.size() == 2) {
    if (method == "PATCH") {
      co_return co_await patch_group(std::move(request), *target.project, path[1]);
    }
    if (method == "GET" || method == "DELETE") {
      co_return co_await one_group(std::move(request), *target.project, path[1]);
    }
    co_return method_not_allowed("GET, PATCH, DELETE");
  }
  if (path.size() == 3 && (path[2] == "start" || path[2] == "stop")) {
    if (method != "POST") co_return method_not_allowed("POST");
    co_return co_await group_action(std::move(request), *target.project, path[1], path[2]);
  }
  if (path.size() == 3 && path[2] == "system-logs") {
    if (method != "GET") co_return method_not_allowed("GET");
    co_return co_await system_logs(*target.project, path[1]);
  }
  co_return Error::not_found("there is nothing at this path");
}

PublicApi::Answer PublicApi::list_groups(ProjectIdentity project, std::string user_agent) {
  CO_TRY(json::object list, co_await ask<json::object>([=](Fleet& fleet, Moment) {
           json::array items;
           for (const Group* group : fleet.groups_of(project.project_id)) {
             items.push_back(group_document(fleet, *group, user_agent));
           }
           json::object out;
           out["items"] = std::move(items);
           return Result<json::object>(std::move(out));
         }));
  co_return json_answer(200, std::move(list));
}

PublicApi::Answer PublicApi::create_group(HttpRequest request, ProjectIdentity project) {
  CO_TRY(const json::value document, read_document(request));
  CO_TRY(const api::GroupSpec spec, api::read_group_spec(document, api::known_gpu_classes()));
  CO_TRY_DO(check_supported(spec));
  const Organization* organization = accounts_.organization(project.organization_id);
  const int32_t quota = organization->quotas.container_replicas_quota;
  const std::string user_agent = user_agent_of(request);
  auto name = spec.name;
  // Created in this turn, shown in the next: by then it is stored.
  FleetLoop::Command create = [=](Fleet& fleet, Moment now) -> Result<> {
    TRY(const std::string id, fleet.create_group(project, spec, quota, now));
    return {};
  };
  CO_TRY_DO(co_await loop_.submit(std::move(create)));
  CO_TRY(json::object made,
         co_await ask<json::object>([=](Fleet& fleet, Moment) -> Result<json::object> {
           const Group* group = fleet.find_group(project.project_id, name);
           if (group == nullptr) return no_such_group(name);
           return group_document(fleet, *group, user_agent);
         }));
  HttpResponse response = json_answer(201, std::move(made));
  response.headers.add("Location",
                       fmt::format("/organizations/{}/projects/{}/containers/{}",
                                   project.organization_name, project.project_name, name));
  co_return response;
}

PublicApi::Answer PublicApi::one_group(HttpRequest request, ProjectIdentity project,
                                       std::string name) {
  if (request.head.method == "DELETE") {
    CO_TRY_DO(read_no_document(request));
    FleetLoop::Command remove = [=](Fleet& fleet, Moment now) -> Result<> {
      const Group* group = fleet.find_group(project.project_id, name);
      if (group == nullptr) return no_such_group(name);
      // Deleted already and only waiting for its instances to end.
      if (group->delete_time != 0) return {};
      return fleet.delete_group(group->id, now);
    };
    CO_TRY_DO(co_await loop_.submit(std::move(remove)));
    co_return empty_answer(202);
  }
  const std::string user_agent = user_agent_of(request);
  CO_TRY(json::object found,
         co_await ask<json::object>([=](Fleet& fleet, Moment) -> Result<json::object> {
           const Group* group = fleet.find_group(project.project_id, name);
           if (group == nullptr) return no_such_group(name);
           return group_document(fleet, *group, user_agent);
         }));
  co_return json_answer(200, std::move(found));
}

PublicApi::Answer PublicApi::patch_group(HttpRequest request, ProjectIdentity project,
                                         std::string name) {
  CO_TRY(const json::value document, read_document(request));
  const Organization* organization = accounts_.organization(project.organization_id);
  const int32_t quota = organization->quotas.container_replicas_quota;
  FleetLoop::Command patch = [=](Fleet& fleet, Moment now) -> Result<> {
    const Group* group = fleet.find_group(project.project_id, name);
    if (group == nullptr || group->delete_time != 0) return no_such_group(name);
    TRY(const api::GroupChange change,
        api::patch_group_spec(group->spec, document, api::known_gpu_classes()));
    TRY_DO(check_supported(change.spec));
    return fleet.patch_group(group->id, change, quota, now);
  };
  CO_TRY_DO(co_await loop_.submit(std::move(patch)));
  const std::string user_agent = user_agent_of(request);
  CO_TRY(json::object changed,
         co_await ask<json::object>([=](Fleet& fleet, Moment) -> Result<json::object> {
           const Group* group = fleet.find_group(project.project_id, name);
           if (group == nullptr) return no_such_group(name);
           return group_document(fleet, *group, user_agent);
         }));
  HttpResponse response = json_answer(200, std::move(changed));
  const auto accept = request.head.headers.find("Accept");
  const bool named = accept && (accept->find(kMergePatch) != std::string_view::npos ||
                                accept->find("*/*") != std::string_view::npos);
  if (named) response.headers.set("Content-Type", kMergePatch);
  co_return response;
}

PublicApi::Answer PublicApi::group_action(HttpRequest request, ProjectIdentity project,
                                          std::string name, std::string action) {
  CO_TRY_DO(read_no_document(request));
  FleetLoop::Command act = [=](Fleet& fleet, Moment now) -> Result<> {
    const Group* group = fleet.find_group(project.project_id, name);
    if (group == nullptr) return no_such_group(name);
    if (group->delete_time != 0) {
      return Error{ErrorCode::FailedPrecondition, "the container group is being deleted"};
    }
    return action == "start" ? fleet.start_group(group->id, now) : fleet.stop_group(group->id, now);
  };
  CO_TRY_DO(co_await loop_.submit(std::move(act)));
  co_return empty_answer(202);
}

PublicApi::Answer PublicApi::system_logs(ProjectIdentity project, std::string name) {
  CO_TRY(const Group group, co_await ask<Group>([=](Fleet& fleet, Moment) -> Result<Group> {
           const Group* found = fleet.find_group(project.project_id, name);
           if (found == nullptr) return no_such_group(name);
           return *found;
         }));
  auto loaded = std::make_shared<std::vector<Event>>();
  const std::string id = group.id;
  store::Body body = [loaded, id](store::Transaction& tx) -> Result<> {
    TRY(*loaded, load_events(tx, id, std::nullopt, 50));
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  json::array items;
  for (auto event = loaded->rbegin(); event != loaded->rend(); ++event) {
    api::SystemLog log{.event_name = event->event_name};
    log.event_time = format_rfc3339(from_unix_nanos(event->time));
    log.version = std::to_string(event->version);
    api::set_system_log_resources(log, group.spec.container.resources);
    if (!event->instance_id.empty()) log.instance_id = event->instance_id;
    if (!event->machine_id.empty()) log.machine_id = event->machine_id;
    items.push_back(write_json(log));
  }
  json::object out;
  out["items"] = std::move(items);
  co_return json_answer(200, std::move(out));
}

}  // namespace mesclun::cloud
