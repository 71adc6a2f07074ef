#include "client/api_client.h"

#include <fmt/format.h>

#include "api/problem.h"
#include "base/integer.h"
#include "base/units.h"
#include "http/date.h"
#include "http/url.h"

namespace mesclun::client {

namespace {

constexpr std::string_view kPublic = "/api/public";

std::string operator_path(std::string_view rest) {
  return "/api/operator/" + std::string(rest);
}

std::string_view strip_suffix(std::string_view text, std::string_view suffix) {
  if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
  return text;
}

Result<json::value> read_answer(const HttpReply& reply) {
  if (reply.status < 200 || reply.status > 299) {
    return api::error_from_problem(reply.status, reply.body);
  }
  if (reply.body.empty()) return json::value(nullptr);
  Result<json::value> value = parse_json(reply.body);
  if (!value) {
    return Error::internal("the answer is not the API's (is the address right?): " +
                           value.error().message);
  }
  return value;
}

// Quotas stand one level deeper in the public shape than in what an operator sets.
const json::value& interesting_part(const json::value& document) {
  if (!document.is_object()) return document;
  const json::value* inner = document.get_object().if_contains("container_groups_quotas");
  return inner == nullptr ? document : *inner;
}

}  // namespace

Result<ApiAddress> parse_api_address(std::string_view text) {
  ApiAddress address;
  if (text.starts_with("unix:")) {
    TRY(address.endpoint, parse_endpoint(text));
    return address;
  }
  TRY(HttpUrl url, parse_http_url(text, UrlScheme::HttpIfMissing));
  if (url.tls) {
    return Error::invalid(fmt::format(
        "'{}': the command line speaks plain HTTP only; reach a TLS address through a tunnel, such "
        "as `ssh -L 8800:localhost:8800 HOST`",
        text));
  }
  const std::string_view path = strip_suffix(strip_suffix(url.target, "/"), kPublic);
  address.base_path = strip_suffix(path, "/");
  address.endpoint = std::move(url.endpoint);
  return address;
}

std::string encode_segment(std::string_view text) {
  // These two would be taken for steps in the path.
  if (text == ".") return "%2E";
  if (text == "..") return "%2E%2E";
  return percent_encode(text);
}

Duration retry_after(const HeaderList& headers, WallTime now) {
  const std::string_view text = headers.find("Retry-After").value_or("");
  std::optional<int64_t> seconds = parse_integer<int64_t>(text);
  if (const auto when = parse_http_date(text)) {
    // By the server's clock, if it tells that.
    const auto from = parse_http_date(headers.find("Date").value_or("")).value_or(now);
    seconds = std::chrono::ceil<std::chrono::seconds>(*when - from).count();
  }
  return std::chrono::seconds(std::clamp<int64_t>(seconds.value_or(1), 1, 86'400));
}

ApiClient::ApiClient(Clock& clock, ApiSettings settings, Note note)
    : clock_(clock),
      settings_(std::move(settings)),
      note_(std::move(note)),
      http_(clock, settings_.address.endpoint, settings_.request_timeout) {}

Task<Result<HttpReply>> ApiClient::send(const ApiCall& call) {
  HttpCall http{.method = call.method, .target = settings_.address.base_path + call.path};
  http.headers.add("Accept", "application/json");
  http.headers.add("User-Agent", "mesclun");
  last_key_ = call.key;
  const std::string& key = call.key == KeyKind::User ? settings_.api_key : settings_.operator_key;
  if (!key.empty()) http.headers.add("Salad-Api-Key", key);
  if (call.body) {
    http.headers.add("Content-Type", call.media_type);
    http.body = json::serialize(*call.body);
  }
  Result<HttpReply> reply = co_await http_.call(std::move(http));
  if (!reply && reply.code() != ErrorCode::Cancelled && reply.error().cause == Cause::None) {
    Error error = reply.error();
    error.cause = Cause::Unreachable;
    co_return error;
  }
  co_return reply;
}

Task<Result<json::value>> ApiClient::call(ApiCall call) {
  Duration waited{0};
  while (true) {
    CO_TRY(const HttpReply reply, co_await send(call));
    if (reply.status != 429) co_return read_answer(reply);
    const Duration pause = retry_after(reply.headers, clock_.wall_now());
    if (waited + pause > settings_.rate_limit_wait) {
      Error error = api::error_from_problem(reply.status, reply.body);
      error.message += fmt::format(" (waited {}, and should wait {} more)", format_duration(waited),
                                   format_duration(pause));
      co_return error;
    }
    note_(fmt::format("too many requests: trying again in {}", format_duration(pause)));
    CO_TRY_DO(co_await clock_.sleep_for(pause));
    waited += pause;
  }
}

template <class T>
Task<Result<Answer<T>>> ApiClient::call_for(ApiCall request) {
  CO_TRY(json::value document, co_await call(std::move(request)));
  Answer<T> answer;
  JsonProblems problems;
  read_json(interesting_part(document), answer.value, JsonPath{}, problems);
  if (!problems.empty()) {
    co_return Error::internal("the API's answer is not understood: " + problems.summary());
  }
  answer.document = std::move(document);
  co_return answer;
}

std::string ApiClient::project_path() const {
  return fmt::format("/organizations/{}/projects/{}", encode_segment(settings_.organization),
                     encode_segment(settings_.project));
}

std::string ApiClient::extra_path(const std::string& group, std::string_view what) const {
  return fmt::format("/api/mesclun{}/containers/{}/{}", project_path(), encode_segment(group),
                     what);
}

std::string ApiClient::group_path(const std::string& name) const {
  return fmt::format("{}{}/containers/{}", kPublic, project_path(), encode_segment(name));
}

std::string ApiClient::instance_path(const std::string& group, const std::string& id) const {
  return group_path(group) + "/instances/" + encode_segment(id);
}

Task<Result<Answer<GroupListView>>> ApiClient::list_groups() {
  return call_for<GroupListView>({.path = fmt::format("{}{}/containers", kPublic, project_path())});
}

Task<Result<Answer<GroupView>>> ApiClient::create_group(json::value prototype) {
  return call_for<GroupView>({.method = "POST",
                              .path = fmt::format("{}{}/containers", kPublic, project_path()),
                              .body = std::move(prototype)});
}

Task<Result<Answer<GroupView>>> ApiClient::get_group(std::string name) {
  return call_for<GroupView>({.path = group_path(name)});
}

Task<Result<Answer<GroupView>>> ApiClient::update_group(std::string name, json::value patch) {
  return call_for<GroupView>({.method = "PATCH",
                              .path = group_path(name),
                              .body = std::move(patch),
                              .media_type = "application/merge-patch+json"});
}

Task<Result<>> ApiClient::act_on_group(std::string name, std::string action) {
  ApiCall request{.method = "POST", .path = group_path(name) + "/" + action};
  CO_TRY_DO(co_await call(std::move(request)));
  co_return Result<>();
}

Task<Result<>> ApiClient::delete_group(std::string name) {
  ApiCall request{.method = "DELETE", .path = group_path(name)};
  CO_TRY_DO(co_await call(std::move(request)));
  co_return Result<>();
}

Task<Result<Answer<InstanceListView>>> ApiClient::list_instances(std::string group) {
  return call_for<InstanceListView>({.path = group_path(group) + "/instances"});
}

Task<Result<Answer<InstanceView>>> ApiClient::get_instance(std::string group, std::string id) {
  return call_for<InstanceView>({.path = instance_path(group, id)});
}

Task<Result<Answer<InstanceView>>> ApiClient::update_instance(std::string group, std::string id,
                                                              json::value patch) {
  return call_for<InstanceView>({.method = "PATCH",
                                 .path = instance_path(group, id),
                                 .body = std::move(patch),
                                 .media_type = "application/merge-patch+json"});
}

Task<Result<>> ApiClient::act_on_instance(std::string group, std::string id, std::string action) {
  ApiCall request{.method = "POST", .path = instance_path(group, id) + "/" + action};
  CO_TRY_DO(co_await call(std::move(request)));
  co_return Result<>();
}

Task<Result<Answer<ExclusionListView>>> ApiClient::list_exclusions(std::string group) {
  return call_for<ExclusionListView>({.path = extra_path(group, "exclusions")});
}

Task<Result<Answer<StatsListView>>> ApiClient::list_stats(std::string group) {
  std::string path = group.empty() ? fmt::format("/api/mesclun{}/stats", project_path())
                                   : extra_path(group, "stats");
  return call_for<StatsListView>({.path = std::move(path)});
}

Task<Result<>> ApiClient::lift_exclusions(std::string group, std::string machine_id) {
  std::string path = extra_path(group, "exclusions");
  if (!machine_id.empty()) path += "/" + encode_segment(machine_id);
  ApiCall request{.method = "DELETE", .path = std::move(path)};
  CO_TRY_DO(co_await call(std::move(request)));
  co_return Result<>();
}

Task<Result<Answer<GroupInsightListView>>> ApiClient::list_group_insights() {
  return call_for<GroupInsightListView>(
      {.path = fmt::format("/api/mesclun{}/containers", project_path())});
}

Task<Result<Answer<InstanceInsightListView>>> ApiClient::list_instance_insights(std::string group) {
  return call_for<InstanceInsightListView>({.path = extra_path(group, "instances")});
}

Task<Result<Answer<PlacementView>>> ApiClient::get_placement(std::string group) {
  return call_for<PlacementView>({.path = extra_path(group, "placement")});
}

Task<Result<Answer<VersionListView>>> ApiClient::list_versions(std::string group) {
  return call_for<VersionListView>({.path = extra_path(group, "versions")});
}

Task<Result<Answer<RollbackView>>> ApiClient::roll_back(std::string group,
                                                        std::optional<int64_t> version) {
  json::object body;
  if (version) body["version"] = *version;
  return call_for<RollbackView>(
      {.method = "POST", .path = extra_path(group, "rollback"), .body = std::move(body)});
}

Task<Result<Answer<UpdatePolicyView>>> ApiClient::set_update_policy(std::string group,
                                                                    json::value at_once) {
  json::object body;
  body["at_once"] = std::move(at_once);
  return call_for<UpdatePolicyView>(
      {.method = "PATCH", .path = extra_path(group, "update-policy"), .body = std::move(body)});
}

Task<Result<json::value>> ApiClient::list_happenings(std::string group, std::string kind,
                                                     PageQuery query) {
  ApiCall request{.path = fmt::format("{}?limit={}", extra_path(group, kind), query.limit)};
  if (query.after) request.path += fmt::format("&after={}", *query.after);
  if (query.wait_seconds > 0) request.path += fmt::format("&wait={}", query.wait_seconds);
  if (!query.instance_id.empty()) {
    request.path += "&instance_id=" + encode_segment(query.instance_id);
  }
  if (!query.query.empty()) request.path += "&query=" + encode_segment(query.query);
  return call(std::move(request));
}

Task<Result<Answer<NodeListView>>> ApiClient::list_nodes() {
  return call_for<NodeListView>({.path = operator_path("nodes"), .key = KeyKind::Operator});
}

Task<Result<>> ApiClient::order(ApiCall request) {
  CO_TRY_DO(co_await call(std::move(request)));
  co_return Result<>();
}

Task<Result<>> ApiClient::forget_node(std::string machine_id) {
  co_return co_await order({.method = "DELETE",
                            .path = operator_path("nodes/" + encode_segment(machine_id)),
                            .key = KeyKind::Operator});
}

Task<Result<>> ApiClient::act_on_node(std::string machine_id, std::string action) {
  co_return co_await order(
      {.method = "POST",
       .path = operator_path("nodes/" + encode_segment(machine_id) + "/" + action),
       .key = KeyKind::Operator});
}

Task<Result<Answer<GatewayListView>>> ApiClient::list_gateways() {
  return call_for<GatewayListView>({.path = operator_path("gateways"), .key = KeyKind::Operator});
}

Task<Result<>> ApiClient::forget_gateway(std::string name) {
  co_return co_await order({.method = "DELETE",
                            .path = operator_path("gateways/" + encode_segment(name)),
                            .key = KeyKind::Operator});
}

Task<Result<Answer<TokenView>>> ApiClient::rotate_token(std::string name) {
  return call_for<TokenView>({.method = "POST",
                              .path = operator_path("tokens/" + encode_segment(name) + "/rotate"),
                              .key = KeyKind::Operator});
}

Task<Result<Answer<GpuClassListView>>> ApiClient::list_gpu_classes() {
  return call_for<GpuClassListView>(
      {.path = operator_path("gpu-classes"), .key = KeyKind::Operator});
}

Task<Result<Answer<GpuClassView>>> ApiClient::add_gpu_class(json::value body) {
  return call_for<GpuClassView>({.method = "POST",
                                 .path = operator_path("gpu-classes"),
                                 .body = std::move(body),
                                 .key = KeyKind::Operator});
}

Task<Result<>> ApiClient::remove_gpu_class(std::string name) {
  ApiCall request{.method = "DELETE",
                  .path = operator_path("gpu-classes/" + encode_segment(name)),
                  .key = KeyKind::Operator};
  CO_TRY_DO(co_await call(std::move(request)));
  co_return Result<>();
}

Task<Result<Answer<NamedListView>>> ApiClient::list_organizations() {
  return call_for<NamedListView>(
      {.path = operator_path("organizations"), .key = KeyKind::Operator});
}

Task<Result<Answer<NamedView>>> ApiClient::get_organization(std::string name) {
  return call_for<NamedView>(
      {.path = operator_path("organizations/" + encode_segment(name)), .key = KeyKind::Operator});
}

Task<Result<Answer<NamedView>>> ApiClient::create_organization(json::value body) {
  return call_for<NamedView>({.method = "POST",
                              .path = operator_path("organizations"),
                              .body = std::move(body),
                              .key = KeyKind::Operator});
}

Task<Result<Answer<QuotasView>>> ApiClient::get_quotas(std::string organization) {
  return call_for<QuotasView>(
      {.path = operator_path("organizations/" + encode_segment(organization) + "/quotas"),
       .key = KeyKind::Operator});
}

Task<Result<Answer<QuotasView>>> ApiClient::update_quotas(std::string organization,
                                                          json::value patch) {
  return call_for<QuotasView>(
      {.method = "PATCH",
       .path = operator_path("organizations/" + encode_segment(organization) + "/quotas"),
       .body = std::move(patch),
       .media_type = "application/merge-patch+json",
       .key = KeyKind::Operator});
}

Task<Result<Answer<NamedListView>>> ApiClient::list_projects() {
  return call_for<NamedListView>(
      {.path =
           operator_path("organizations/" + encode_segment(settings_.organization) + "/projects"),
       .key = KeyKind::Operator});
}

Task<Result<Answer<NamedView>>> ApiClient::create_project(std::string name) {
  return call_for<NamedView>(
      {.method = "POST",
       .path =
           operator_path("organizations/" + encode_segment(settings_.organization) + "/projects"),
       .body = json::object{{"name", name}},
       .key = KeyKind::Operator});
}

Task<Result<Answer<KeyListView>>> ApiClient::list_keys() {
  return call_for<KeyListView>({.path = operator_path("keys"), .key = KeyKind::Operator});
}

Task<Result<Answer<KeyView>>> ApiClient::create_key(json::value body) {
  return call_for<KeyView>({.method = "POST",
                            .path = operator_path("keys"),
                            .body = std::move(body),
                            .key = KeyKind::Operator});
}

Task<Result<>> ApiClient::delete_key(std::string id) {
  ApiCall request{.method = "DELETE",
                  .path = operator_path("keys/" + encode_segment(id)),
                  .key = KeyKind::Operator};
  CO_TRY_DO(co_await call(std::move(request)));
  co_return Result<>();
}

}  // namespace mesclun::client
