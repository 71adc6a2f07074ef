#include "cloud/operator_api.h"

#include "api/checks.h"
#include "base/log.h"

namespace mesclun::cloud {

namespace {

struct NewOrganization {
  std::string name;
  std::string display_name;
};
BOOST_DESCRIBE_STRUCT(NewOrganization, (), (name, display_name))
constexpr bool json_has_default(const NewOrganization*, std::string_view member) {
  return member == "display_name";
}

struct NewProject {
  std::string name;
};
BOOST_DESCRIBE_STRUCT(NewProject, (), (name))

struct NewApiKey {
  std::string user;
  std::vector<std::string> organizations;
};
BOOST_DESCRIBE_STRUCT(NewApiKey, (), (user, organizations))

struct QuotaPatch {
  std::optional<int32_t> container_replicas_quota;
  std::optional<int32_t> max_container_group_reallocations_per_minute;
  std::optional<int32_t> max_container_group_recreates_per_minute;
  std::optional<int32_t> max_container_group_restarts_per_minute;
};
BOOST_DESCRIBE_STRUCT(QuotaPatch, (),
                      (container_replicas_quota, max_container_group_reallocations_per_minute,
                       max_container_group_recreates_per_minute,
                       max_container_group_restarts_per_minute))

Result<Accounts::QuotaChange> quota_change(const QuotaPatch& patch) {
  struct Field {
    int32_t api::GroupQuotas::* quota;
    std::optional<int32_t> value;
    std::string_view name;
  };
  const std::array<Field, 4> fields = {
      {{&api::GroupQuotas::container_replicas_quota, patch.container_replicas_quota,
        "container_replicas_quota"},
       {&api::GroupQuotas::max_container_group_reallocations_per_minute,
        patch.max_container_group_reallocations_per_minute,
        "max_container_group_reallocations_per_minute"},
       {&api::GroupQuotas::max_container_group_recreates_per_minute,
        patch.max_container_group_recreates_per_minute, "max_container_group_recreates_per_minute"},
       {&api::GroupQuotas::max_container_group_restarts_per_minute,
        patch.max_container_group_restarts_per_minute, "max_container_group_restarts_per_minute"}}};
  JsonProblems problems;
  const JsonPath root;
  for (const Field& field : fields) {
    const JsonPath at{.parent = &root, .key = field.name};
    if (field.value) {
      api::check_range(*field.value, 0, std::numeric_limits<int32_t>::max(), at, problems);
    }
  }
  if (!problems.empty()) return problems.to_error();
  return Accounts::QuotaChange([fields](api::GroupQuotas& quotas) {
    for (const Field& field : fields) {
      if (field.value) quotas.*field.quota = *field.value;
    }
  });
}

json::object list_of(json::array items) {
  json::object out;
  out["items"] = std::move(items);
  return out;
}

json::object organization_json(const Organization& organization) {
  json::object out;
  out["id"] = organization.id;
  out["name"] = organization.name;
  out["display_name"] = organization.display_name;
  out["create_time"] = format_rfc3339(from_unix_nanos(organization.create_time));
  return out;
}

json::object project_json(const Project& project) {
  json::object out;
  out["id"] = project.id;
  out["name"] = project.name;
  out["create_time"] = format_rfc3339(from_unix_nanos(project.create_time));
  return out;
}

}  // namespace

Task<HttpResponse> OperatorApi::handle(HttpRequest request, std::string rest) {
  const auto header = request.head.headers.find("Salad-Api-Key");
  const ApiKey* key = header ? accounts_.find_key(*header) : nullptr;
  if (key == nullptr) {
    const Error error{ErrorCode::Unauthenticated,
                      "send the operator's key in the header Salad-Api-Key"};
    co_return problem_answer(error);
  }
  if (!key->is_operator) {
    const Error error{ErrorCode::PermissionDenied, "this key is not the operator's"};
    co_return problem_answer(error);
  }
  auto path = split_path(rest);
  if (!path) co_return problem_answer(no_such_path());
  auto answer = co_await route(std::move(request), *std::move(path));
  if (!answer) co_return problem_answer(answer.error());
  co_return *std::move(answer);
}

Answer OperatorApi::route(HttpRequest request, std::vector<std::string> path) {
  if (!path.empty() && path[0] == "organizations") {
    co_return co_await organizations(std::move(request), std::move(path));
  }
  if (!path.empty() && path[0] == "keys") {
    co_return co_await keys(std::move(request), std::move(path));
  }
  if (!path.empty() && path[0] == "gpu-classes") {
    co_return co_await gpu_classes_.handle(std::move(request), std::move(path));
  }
  if (!path.empty() && path[0] == "nodes") {
    co_return co_await machines_.handle_nodes(std::move(request), std::move(path));
  }
  if (!path.empty() && path[0] == "gateways") {
    co_return co_await machines_.handle_gateways(std::move(request), std::move(path));
  }
  if (!path.empty() && path[0] == "tokens") {
    co_return co_await machines_.handle_tokens(std::move(request), std::move(path));
  }
  co_return no_such_path();
}

Answer OperatorApi::organizations(HttpRequest request, std::vector<std::string> path) {
  const std::string method = request.head.method;
  if (path.size() == 1) {
    if (method == "POST") co_return co_await create_organization(std::move(request));
    if (method != "GET") co_return method_not_allowed("GET, POST");
    json::array items;
    for (const Organization* organization : accounts_.organizations()) {
      items.push_back(organization_json(*organization));
    }
    co_return json_answer(200, list_of(std::move(items)));
  }
  const Organization* organization = accounts_.find_organization(path[1]);
  if (organization == nullptr) {
    co_return Error::not_found(fmt::format("no organization '{}'", path[1].substr(0, 100)));
  }
  if (path.size() == 2) {
    if (method != "GET") co_return method_not_allowed("GET");
    co_return json_answer(200, organization_json(*organization));
  }
  if (path.size() == 3 && path[2] == "projects") {
    co_return co_await projects(std::move(request), organization->id);
  }
  if (path.size() == 3 && path[2] == "quotas") {
    co_return co_await quotas(std::move(request), organization->id);
  }
  co_return no_such_path();
}

Answer OperatorApi::create_organization(HttpRequest request) {
  CO_TRY(NewOrganization wanted, read_body<NewOrganization>(request));
  CO_TRY(const Organization made, co_await accounts_.create_organization(
                                      std::move(wanted.name), std::move(wanted.display_name)));
  co_return json_answer(201, organization_json(made));
}

Answer OperatorApi::projects(HttpRequest request, std::string organization_id) {
  if (request.head.method == "POST") {
    CO_TRY(NewProject wanted, read_body<NewProject>(request));
    CO_TRY(const Project made,
           co_await accounts_.create_project(organization_id, std::move(wanted.name)));
    co_return json_answer(201, project_json(made));
  }
  if (request.head.method != "GET") co_return method_not_allowed("GET, POST");
  json::array items;
  for (const Project* project : accounts_.projects_of(organization_id)) {
    items.push_back(project_json(*project));
  }
  co_return json_answer(200, list_of(std::move(items)));
}

Answer OperatorApi::quotas(HttpRequest request, std::string organization_id) {
  if (request.head.method == "PATCH") {
    CO_TRY(const QuotaPatch patch, read_body<QuotaPatch>(request));
    CO_TRY(Accounts::QuotaChange change, quota_change(patch));
    CO_TRY(const Organization changed,
           co_await accounts_.change_quotas(organization_id, std::move(change)));
    co_return json_answer(200, write_json(changed.quotas));
  }
  if (request.head.method != "GET") co_return method_not_allowed("GET, PATCH");
  co_return json_answer(200, write_json(accounts_.organization(organization_id)->quotas));
}

Answer OperatorApi::keys(HttpRequest request, std::vector<std::string> path) {
  if (path.size() == 2) {
    if (request.head.method != "DELETE") co_return method_not_allowed("DELETE");
    CO_TRY_DO(co_await accounts_.delete_key(path[1]));
    co_return empty_answer(204);
  }
  if (path.size() != 1) co_return no_such_path();
  if (request.head.method == "POST") co_return co_await create_key(std::move(request));
  if (request.head.method != "GET") co_return method_not_allowed("GET, POST");
  json::array items;
  for (const auto& [id, key] : accounts_.keys()) {
    json::array names;
    for (const std::string& organization : key.organization_ids) {
      names.push_back(json::string(accounts_.organization(organization)->name));
    }
    json::object item;
    item["id"] = id;
    item["user"] = key.user;
    item["organizations"] = std::move(names);
    item["operator"] = key.is_operator;
    item["create_time"] = format_rfc3339(from_unix_nanos(key.create_time));
    items.push_back(std::move(item));
  }
  co_return json_answer(200, list_of(std::move(items)));
}

Answer OperatorApi::create_key(HttpRequest request) {
  CO_TRY(NewApiKey wanted, read_body<NewApiKey>(request));
  std::vector<std::string> ids;
  for (const std::string& name : wanted.organizations) {
    const Organization* organization = accounts_.find_organization(name);
    if (organization == nullptr) {
      co_return Error::invalid(
          fmt::format("/organizations: no organization '{}'", name.substr(0, 100)));
    }
    ids.push_back(organization->id);
  }
  if (ids.empty()) co_return Error::invalid("/organizations must name at least one");
  CO_TRY(const Accounts::NewKey made,
         co_await accounts_.create_key(std::move(wanted.user), std::move(ids), false));
  json::object out;
  out["id"] = made.key.id;
  out["user"] = made.key.user;
  out["organizations"] = write_json(wanted.organizations);
  out["create_time"] = format_rfc3339(from_unix_nanos(made.key.create_time));
  out["key"] = made.secret;
  co_return json_answer(201, std::move(out));
}

}  // namespace mesclun::cloud
