// Typed calls to the cloud's HTTP API: the public one (api.md), and our own additions for events,
// logs and operators.
#pragma once

#include <functional>

#include "client/views.h"
#include "http/client.h"

namespace mesclun::client {

struct ApiAddress {
  Endpoint endpoint;
  std::string base_path;  // before /api/public; usually empty
};
// "127.0.0.1:8800", "http://127.0.0.1:8800" or "http://127.0.0.1:8800/api/public".
Result<ApiAddress> parse_api_address(std::string_view text);

// Whose key a call carries.
enum class KeyKind { User, Operator };

struct ApiSettings {
  ApiAddress address;
  std::string organization;
  std::string project;
  std::string api_key;
  std::string operator_key;
  Duration request_timeout = 30s;  // one request, with connecting
  Duration rate_limit_wait = 60s;  // all waits of one call for "too many requests"
};

struct ApiCall {
  std::string method = "GET";
  std::string path;  // below the address, such as "/api/public/organizations/…"
  std::optional<json::value> body = {};
  std::string media_type = "application/json";
  KeyKind key = KeyKind::User;
};

// The server's own document, and the parts of it that we use.
template <class T>
struct Answer {
  json::value document;
  T value;
};

// Which part of a sequence of events or log lines.
struct PageQuery {
  std::optional<int64_t> after;  // sequence; without it the newest `limit`
  int64_t limit = 100;
  int64_t wait_seconds = 0;  // how long the server may wait for something newer, at most 30
  std::string instance_id = {};
  std::string query = {};  // of logs: only lines that match
};

// Runs on:  one loop; one call at a time.
// Errors:   what the API's problem object says; its `type` is the cause. A cloud that cannot be
//           reached is Unavailable or DeadlineExceeded with the cause Unreachable; an answer that
//           is not the API's is Internal.
// 429:      waited out as Retry-After says, with a note, up to rate_limit_wait in all.
// Lifetime: clock outlives this object.
class ApiClient {
 public:
  using Note = std::function<void(const std::string&)>;
  ApiClient(Clock& clock, ApiSettings settings, Note note);

  // Container groups.
  Task<Result<Answer<GroupListView>>> list_groups();
  Task<Result<Answer<GroupView>>> create_group(json::value prototype);
  Task<Result<Answer<GroupView>>> get_group(std::string name);
  Task<Result<Answer<GroupView>>> update_group(std::string name, json::value patch);
  Task<Result<>> act_on_group(std::string name, std::string action);  // start, stop
  Task<Result<>> delete_group(std::string name);

  // Instances. `action` is reallocate, recreate or restart.
  Task<Result<Answer<InstanceListView>>> list_instances(std::string group);
  Task<Result<Answer<InstanceView>>> get_instance(std::string group, std::string id);
  Task<Result<Answer<InstanceView>>> update_instance(std::string group, std::string id,
                                                     json::value patch);
  Task<Result<>> act_on_instance(std::string group, std::string id, std::string action);

  // Nodes that a group is kept away from.
  Task<Result<Answer<ExclusionListView>>> list_exclusions(std::string group);
  Task<Result<>> lift_exclusions(std::string group, std::string machine_id);  // empty: all

  // What instances use now; of all groups if `group` is empty.
  Task<Result<Answer<StatsListView>>> list_stats(std::string group);

  // What the public API does not tell. NotFound from clouds of before.
  Task<Result<Answer<GroupInsightListView>>> list_group_insights();
  Task<Result<Answer<InstanceInsightListView>>> list_instance_insights(std::string group);
  Task<Result<Answer<PlacementView>>> get_placement(std::string group);

  // Versions, the way back, and how fast new ones come.
  Task<Result<Answer<VersionListView>>> list_versions(std::string group);
  Task<Result<Answer<RollbackView>>> roll_back(std::string group, std::optional<int64_t> version);
  Task<Result<Answer<UpdatePolicyView>>> set_update_policy(std::string group, json::value at_once);

  // What happened: {"items": […]}, oldest first. `kind` is events or logs.
  Task<Result<json::value>> list_happenings(std::string group, std::string kind, PageQuery query);

  // Operators.
  Task<Result<Answer<NodeListView>>> list_nodes();
  Task<Result<>> forget_node(std::string machine_id);
  Task<Result<>> act_on_node(std::string machine_id, std::string action);  // ban, drain, ...
  Task<Result<Answer<GatewayListView>>> list_gateways();
  Task<Result<>> forget_gateway(std::string name);
  Task<Result<Answer<TokenView>>> rotate_token(std::string name);
  Task<Result<Answer<GpuClassListView>>> list_gpu_classes();
  Task<Result<Answer<GpuClassView>>> add_gpu_class(json::value body);
  Task<Result<>> remove_gpu_class(std::string name);
  Task<Result<Answer<NamedListView>>> list_organizations();
  Task<Result<Answer<NamedView>>> get_organization(std::string name);
  Task<Result<Answer<NamedView>>> create_organization(json::value body);
  Task<Result<Answer<QuotasView>>> get_quotas(std::string organization);
  Task<Result<Answer<QuotasView>>> update_quotas(std::string organization, json::value patch);
  Task<Result<Answer<NamedListView>>> list_projects();
  Task<Result<Answer<NamedView>>> create_project(std::string name);
  Task<Result<Answer<KeyListView>>> list_keys();
  Task<Result<Answer<KeyView>>> create_key(json::value body);
  Task<Result<>> delete_key(std::string id);

  // The answer's document; null for an empty one.
  Task<Result<json::value>> call(ApiCall call);

  // Whose key the last call carried: an error message says which.
  KeyKind last_key() const { return last_key_; }
  const ApiSettings& settings() const { return settings_; }

 private:
  template <class T>
  Task<Result<Answer<T>>> call_for(ApiCall call);
  Task<Result<HttpReply>> send(const ApiCall& call);
  // Whose answer says nothing.
  Task<Result<>> order(ApiCall call);

  std::string project_path() const;
  std::string group_path(const std::string& name) const;
  // Of our additions to a group.
  std::string extra_path(const std::string& group, std::string_view what) const;
  std::string instance_path(const std::string& group, const std::string& id) const;

  Clock& clock_;
  const ApiSettings settings_;
  const Note note_;
  HttpClient http_;
  KeyKind last_key_ = KeyKind::User;
};

// The cloud is away or busy, and the same call may succeed in a while.
inline bool passes_by_itself(const Error& error) {
  return error.cause == Cause::Unreachable || error.code == ErrorCode::Unavailable;
}

// One segment of a path: everything but letters, digits and -._~ is percent-encoded.
std::string encode_segment(std::string_view text);

// What a Retry-After header says, in seconds or as a date; 1 s for none or nonsense. `now`: for a
// date, where the server does not tell its own time.
Duration retry_after(const HeaderList& headers, WallTime now);

}  // namespace mesclun::client
