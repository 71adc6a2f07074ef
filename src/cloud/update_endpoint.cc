#include "cloud/update_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "cloud/fleet_views.h"
#include "cloud/group_versions.h"

namespace mesclun::cloud {

namespace {

struct RollbackOrder {
  std::optional<int32_t> version;
};
BOOST_DESCRIBE_STRUCT(RollbackOrder, (), (version))

struct PolicyPatch {
  std::optional<std::string> at_once;
};
BOOST_DESCRIBE_STRUCT(PolicyPatch, (), (at_once))

// What a version changed stands in the one that began with it.
json::object version_json(int32_t version, int64_t begin_time, const std::string& changes,
                          bool current) {
  json::object out{{"version", version}, {"current", current}, {"changes", changes}};
  if (begin_time != 0) out["begin_time"] = format_rfc3339(from_unix_nanos(begin_time));
  return out;
}

Result<const GroupVersion*> choose(const std::vector<GroupVersion>& former, const Group& group,
                                   std::optional<int32_t> wanted) {
  if (wanted && *wanted == group.version) {
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("/version: '{}' is at version {}", group.spec.name, *wanted)};
  }
  const auto found =
      wanted ? std::ranges::find(former, *wanted, &GroupVersion::version) : former.begin();
  if (found != former.end()) return &*found;
  if (former.empty()) {
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("no former version of '{}' is kept", group.spec.name)};
  }
  std::vector<int32_t> kept;
  for (const GroupVersion& version : former) kept.push_back(version.version);
  return Error::not_found(fmt::format("version {} of '{}' is not kept; kept are {}",
                                      wanted.value_or(0), group.spec.name, fmt::join(kept, ", ")));
}

json::object policy_json(const Fleet& fleet, const Group& group) {
  json::object out;
  out["at_once"] = group.update_at_once ? json::value(group.update_at_once->text()) : nullptr;
  out["default_at_once"] = fleet.settings.update_at_once.text();
  return out;
}

}  // namespace

Answer UpdateEndpoint::handle(HttpRequest request, ApiTarget target) {
  if (target.rest.size() != 3) co_return no_such_path();
  const std::string project_id = target.project->project_id;
  const std::string name = target.rest[1];
  const std::string what = target.rest[2];
  const std::string method = request.head.method;
  if (what == "versions") {
    if (method != "GET") co_return method_not_allowed("GET");
    co_return co_await versions(project_id, name);
  }
  if (what == "rollback") {
    if (method != "POST") co_return method_not_allowed("POST");
    co_return co_await roll_back(std::move(request), project_id, name);
  }
  if (method == "GET") co_return co_await policy(project_id, name);
  if (method != "PATCH") co_return method_not_allowed("GET, PATCH");
  co_return co_await set_policy(std::move(request), project_id, name);
}

Task<Result<UpdateEndpoint::Known>> UpdateEndpoint::find(std::string project_id, std::string name) {
  CO_TRY(Group group, co_await loop_.ask<Group>([=](const Fleet& fleet, Moment) -> Result<Group> {
    TRY(const Group* found, live_group_named(fleet, project_id, name));
    return *found;
  }));
  auto loaded = std::make_shared<std::vector<GroupVersion>>();
  const std::string id = group.id;
  store::Body body = [loaded, id](store::Transaction& tx) -> Result<> {
    TRY(*loaded, load_versions(tx, id));
    return {};
  };
  CO_TRY_DO(co_await database_.read(std::move(body)));
  // What came in between belongs to a version that we have not seen.
  std::erase_if(*loaded, [&](const GroupVersion& v) { return v.version >= group.version; });
  co_return Known{std::move(group), std::move(*loaded)};
}

Answer UpdateEndpoint::versions(std::string project_id, std::string name) {
  CO_TRY(const Known known, co_await find(project_id, name));
  json::array items;
  items.push_back(version_json(known.group.version, known.group.version_time,
                               known.group.version_changes, true));
  for (const GroupVersion& version : known.former) {
    items.push_back(version_json(version.version, version.begin_time, version.changes, false));
  }
  json::object out;
  out["items"] = std::move(items);
  co_return json_answer(200, std::move(out));
}

Answer UpdateEndpoint::roll_back(HttpRequest request, std::string project_id, std::string name) {
  CO_TRY(const RollbackOrder order, read_body<RollbackOrder>(request));
  CO_TRY(const Known known, co_await find(project_id, name));
  CO_TRY(const GroupVersion* chosen, choose(known.former, known.group, order.version));
  const GroupVersion former = *chosen;
  const int32_t seen = known.group.version;
  FleetLoop::Command command = [=](Fleet& fleet, Moment now) -> Result<> {
    TRY(const Group* group, live_group_named(fleet, project_id, name));
    if (group->version != seen) {
      return Error{ErrorCode::FailedPrecondition,
                   fmt::format("'{}' got version {} meanwhile; look again", name, group->version)};
    }
    const api::GroupChange change =
        api::change_of(group->spec, bring_back(former.spec, group->spec));
    if (!change.new_version) {
      return Error{ErrorCode::FailedPrecondition,
                   fmt::format("/version: version {} is the same as version {}, which '{}' has",
                               former.version, group->version, name)};
    }
    return patch_group(fleet, group->id, change, std::numeric_limits<int32_t>::max(), now,
                       fmt::format("as version {}", former.version));
  };
  CO_TRY_DO(co_await loop_.submit(std::move(command)));
  co_return json_answer(202, json::object{{"version", seen + 1}, {"as_version", former.version}});
}

Answer UpdateEndpoint::policy(std::string project_id, std::string name) {
  CO_TRY(json::object out,
         co_await loop_.ask<json::object>([=](const Fleet& fleet, Moment) -> Result<json::object> {
           TRY(const Group* group, live_group_named(fleet, project_id, name));
           return policy_json(fleet, *group);
         }));
  co_return json_answer(200, std::move(out));
}

Answer UpdateEndpoint::set_policy(HttpRequest request, std::string project_id, std::string name) {
  CO_TRY(const PolicyPatch patch, read_body<PolicyPatch>(request));
  std::optional<UpdateLimit> at_once;
  if (patch.at_once) {
    const Result<UpdateLimit> read = parse_update_limit(*patch.at_once);
    if (!read) co_return Error::invalid("/at_once: " + read.error().message);
    at_once = *read;
  }
  FleetLoop::Command command = [=](Fleet& fleet, Moment) -> Result<> {
    TRY(const Group* group, live_group_named(fleet, project_id, name));
    fleet.groups.change(group->id, [&](Group& changed) { changed.update_at_once = at_once; });
    return {};
  };
  CO_TRY_DO(co_await loop_.submit(std::move(command)));
  co_return co_await policy(project_id, name);
}

}  // namespace mesclun::cloud
