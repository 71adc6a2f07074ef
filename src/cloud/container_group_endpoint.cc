#include "cloud/container_group_endpoint.h"

#include <fmt/format.h>

#include "api/event_names.h"
#include "cloud/fleet_store.h"
#include "cloud/fleet_views.h"

namespace mesclun::cloud {

namespace {

constexpr std::string_view kMergePatch = "application/merge-patch+json";
constexpr int64_t kListed = 50;  // of system logs and of errors (api.md §3 and §13)
constexpr int64_t kSearchedForErrors = 1000;

// What this version cannot do is refused with a reason, rather than accepted and forgotten.
Result<> check_supported(const api::GroupSpec& spec) {
  const auto refuse = [](std::string_view path, std::string_view what) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{}: {} are not supported by this version of Mesclun", path, what)};
  };
  if (spec.queue_connection) return refuse("/queue_connection", "job queues");
  if (spec.queue_autoscaler) return refuse("/queue_autoscaler", "job queues");
  if (spec.scheduled_scaling_enabled) {
    return refuse("/scheduled-scaling-enabled", "scheduled scaling actions");
  }
  return {};
}

RegistryLogin of_group(RegistryLogin login, const std::string& group_id) {
  login.group_id = group_id;
  return login;
}

json::object group_document(const Fleet& fleet, const Group& group, std::string_view user_agent) {
  json::object document = api::group_json(group.spec, facts_of(fleet, group));
  if (api::is_strict_go_client(user_agent)) api::drop_members_unknown_to_go(document);
  return document;
}

// What failed, oldest first. The times of a run are those of the events before its end.
std::vector<api::WorkloadError> workload_errors(std::span<const Event> events) {
  struct Run {
    int64_t allocated = 0;
    int64_t started = 0;
  };
  std::map<std::string, Run> runs;  // by machine: one allocation of a group has one
  std::vector<api::WorkloadError> out;
  for (const Event& event : events) {
    Run& run = runs[event.machine_id];
    if (event.event_name == api::event::kAllocated) run = {.allocated = event.time};
    if (event.event_name == api::event::kStarting) run.started = event.time;
    if (!api::event::is_failure(event.event_name)) continue;
    const auto text = [](int64_t time) { return format_rfc3339(from_unix_nanos(time)); };
    api::WorkloadError& error = out.emplace_back();
    error.detail = event.event_name + (event.detail.empty() ? "" : ": " + event.detail);
    error.failed_at = text(event.time);
    error.instance_id = event.instance_id;
    error.machine_id = event.machine_id;
    error.allocated_at = text(run.allocated == 0 ? event.time : run.allocated);
    if (run.started != 0) error.started_at = text(run.started);
    error.version = event.version;
  }
  return out;
}

}  // namespace

Answer ContainerGroupEndpoint::handle(HttpRequest request, ApiTarget target) {
  const std::string method = request.head.method;
  const std::vector<std::string>& path = target.rest;
  const ProjectIdentity project = *target.project;
  if (path.size() == 1) {
    if (method == "GET") co_return co_await list(project, user_agent_of(request));
    if (method == "POST") co_return co_await create(std::move(request), project);
    co_return method_not_allowed("GET, POST");
  }
  if (path.size() == 2) {
    if (method == "GET") co_return co_await get(std::move(request), project, path[1]);
    if (method == "PATCH") co_return co_await patch(std::move(request), project, path[1]);
    if (method == "DELETE") co_return co_await remove(std::move(request), project, path[1]);
    co_return method_not_allowed("GET, PATCH, DELETE");
  }
  if (path.size() == 3 && (path[2] == "start" || path[2] == "stop")) {
    if (method != "POST") co_return method_not_allowed("POST");
    co_return co_await act(std::move(request), project, path[1], path[2]);
  }
  if (path.size() == 3 && path[2] == "system-logs") {
    if (method != "GET") co_return method_not_allowed("GET");
    co_return co_await system_logs(project, path[1]);
  }
  if (path.size() == 3 && path[2] == "errors") {
    if (method != "GET") co_return method_not_allowed("GET");
    co_return co_await errors(project, path[1]);
  }
  co_return no_such_path();
}

api::SpecRules ContainerGroupEndpoint::rules() const {
  api::SpecRules rules(gpu_classes_.all());
  rules.probe_failures_max = limits_.probe_failures_max;
  rules.command_item_max = limits_.command_item_max;
  return rules;
}

Result<> ContainerGroupEndpoint::check_weight(const api::GroupSpec& spec) const {
  const size_t bytes = to_json_text(spec).size();
  if (bytes <= limits_.group_bytes_max) return {};
  return Error::invalid(fmt::format(
      "/container: the group has {} bytes as JSON, of at most {}; environment variables "
      "and commands are most of that",
      bytes, limits_.group_bytes_max));
}

Task<Result<json::object>> ContainerGroupEndpoint::document(ProjectIdentity project,
                                                            std::string name,
                                                            std::string user_agent) {
  co_return co_await loop_.ask<json::object>(
      [=](const Fleet& fleet, Moment) -> Result<json::object> {
        TRY(const Group* group, group_named(fleet, project.project_id, name));
        return group_document(fleet, *group, user_agent);
      });
}

int32_t ContainerGroupEndpoint::quota_of(const ProjectIdentity& project) const {
  return accounts_.organization(project.organization_id)->quotas.container_replicas_quota;
}

Answer ContainerGroupEndpoint::list(ProjectIdentity project, std::string user_agent) {
  CO_TRY(json::object list, co_await loop_.ask<json::object>([=](const Fleet& fleet, Moment) {
    json::array items;
    for (const Group* group : fleet.groups.of_project(project.project_id)) {
      items.push_back(group_document(fleet, *group, user_agent));
    }
    json::object out;
    out["items"] = std::move(items);
    return out;
  }));
  co_return json_answer(200, std::move(list));
}

Answer ContainerGroupEndpoint::create(HttpRequest request, ProjectIdentity project) {
  CO_TRY(const json::value body, read_document(request));
  CO_TRY(const api::GroupSpec spec, api::read_group_spec(body, rules()));
  CO_TRY_DO(check_supported(spec));
  CO_TRY_DO(check_weight(spec));
  CO_TRY(const api::RegistryChange registry, api::read_registry_authentication(body));
  CO_TRY(const std::optional<RegistryLogin> login, login_for(registry, spec.container.image));
  const int32_t quota = quota_of(project);
  // Created in this turn, shown in the next: by then it is stored.
  FleetLoop::Command command = [=](Fleet& fleet, Moment now) -> Result<> {
    TRY(const std::string id, create_group(fleet, project, spec, quota, now));
    return login ? set_registry_login(fleet, of_group(*login, id)) : Result<>();
  };
  CO_TRY_DO(co_await loop_.submit(std::move(command)));
  CO_TRY(json::object made, co_await document(project, spec.name, user_agent_of(request)));
  HttpResponse response = json_answer(201, std::move(made));
  response.headers.add("Location",
                       fmt::format("/organizations/{}/projects/{}/containers/{}",
                                   project.organization_name, project.project_name, spec.name));
  co_return response;
}

Answer ContainerGroupEndpoint::get(HttpRequest request, ProjectIdentity project, std::string name) {
  CO_TRY(json::object found, co_await document(project, name, user_agent_of(request)));
  co_return json_answer(200, std::move(found));
}

Answer ContainerGroupEndpoint::remove(HttpRequest request, ProjectIdentity project,
                                      std::string name) {
  CO_TRY_DO(read_no_document(request));
  FleetLoop::Command command = [=](Fleet& fleet, Moment now) -> Result<> {
    TRY(const Group* group, group_named(fleet, project.project_id, name));
    // Deleted already and only waiting for its instances to end.
    if (group->delete_time != 0) return {};
    return delete_group(fleet, group->id, now);
  };
  CO_TRY_DO(co_await loop_.submit(std::move(command)));
  co_return empty_answer(202);
}

Answer ContainerGroupEndpoint::patch(HttpRequest request, ProjectIdentity project,
                                     std::string name) {
  CO_TRY(const json::value body, read_document(request));
  CO_TRY(const api::RegistryChange registry, api::read_registry_authentication(body));
  const int32_t quota = quota_of(project);
  FleetLoop::Command command = [=, this](Fleet& fleet, Moment now) -> Result<> {
    TRY(const Group* group, live_group_named(fleet, project.project_id, name));
    TRY(const api::GroupChange change, api::patch_group_spec(group->spec, body, rules()));
    TRY_DO(check_supported(change.spec));
    TRY_DO(check_weight(change.spec));
    TRY(const std::optional<RegistryLogin> login, login_for(registry, change.spec.container.image));
    const std::string id = group->id;
    TRY_DO(patch_group(fleet, id, change, quota, now));
    return login ? set_registry_login(fleet, of_group(*login, id)) : Result<>();
  };
  CO_TRY_DO(co_await loop_.submit(std::move(command)));
  CO_TRY(json::object changed, co_await document(project, name, user_agent_of(request)));
  HttpResponse response = json_answer(200, std::move(changed));
  const auto accept = request.head.headers.find("Accept");
  const bool named = accept && (accept->find(kMergePatch) != std::string_view::npos ||
                                accept->find("*/*") != std::string_view::npos);
  if (named) response.headers.set("Content-Type", kMergePatch);
  co_return response;
}

Answer ContainerGroupEndpoint::act(HttpRequest request, ProjectIdentity project, std::string name,
                                   std::string action) {
  CO_TRY_DO(read_no_document(request));
  FleetLoop::Command command = [=](Fleet& fleet, Moment now) -> Result<> {
    TRY(const Group* group, group_named(fleet, project.project_id, name));
    if (group->delete_time != 0) {
      return Error{ErrorCode::FailedPrecondition, "the container group is being deleted"};
    }
    return action == "start" ? start_group(fleet, group->id, now)
                             : stop_group(fleet, group->id, now);
  };
  CO_TRY_DO(co_await loop_.submit(std::move(command)));
  co_return empty_answer(202);
}

Task<Result<ContainerGroupEndpoint::History>> ContainerGroupEndpoint::history(
    ProjectIdentity project, std::string name, int64_t events_max) {
  CO_TRY(Group group, co_await loop_.ask<Group>([=](const Fleet& fleet, Moment) -> Result<Group> {
    TRY(const Group* found, group_named(fleet, project.project_id, name));
    return *found;
  }));
  auto loaded = std::make_shared<std::vector<Event>>();
  const std::string id = group.id;
  store::Body body = [loaded, id, events_max](store::Transaction& tx) -> Result<> {
    TRY(*loaded, load_events(tx, id, std::nullopt, events_max));
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  co_return History{std::move(group), std::move(*loaded)};
}

Answer ContainerGroupEndpoint::system_logs(ProjectIdentity project, std::string name) {
  CO_TRY(const History history, co_await this->history(project, name, kListed));
  json::array items;
  for (auto event = history.events.rbegin(); event != history.events.rend(); ++event) {
    api::SystemLog log{.event_name = event->event_name};
    log.event_time = format_rfc3339(from_unix_nanos(event->time));
    log.version = std::to_string(event->version);
    api::set_system_log_resources(log, history.group.spec.container.resources);
    if (!event->instance_id.empty()) log.instance_id = event->instance_id;
    if (!event->machine_id.empty()) log.machine_id = event->machine_id;
    items.push_back(write_json(log));
  }
  json::object out;
  out["items"] = std::move(items);
  co_return json_answer(200, std::move(out));
}

Answer ContainerGroupEndpoint::errors(ProjectIdentity project, std::string name) {
  CO_TRY(const History history, co_await this->history(project, name, kSearchedForErrors));
  const std::vector<api::WorkloadError> errors = workload_errors(history.events);
  json::array items;
  const size_t count = std::min(errors.size(), static_cast<size_t>(kListed));
  for (size_t i = 0; i < count; ++i) items.push_back(write_json(errors[errors.size() - 1 - i]));
  json::object out;
  out["items"] = std::move(items);
  co_return json_answer(200, std::move(out));
}

}  // namespace mesclun::cloud
