#include "cloud/fleet_groups.h"

#include "api/event_names.h"
#include "base/ids.h"
#include "cloud/fleet_steps.h"
#include "cloud/fleet_update.h"
#include "cloud/fleet_views.h"
#include "cloud/group_versions.h"

#include <fmt/format.h>

namespace mesclun::cloud {

namespace {

constexpr size_t kGroupsOfProjectMax = 100;  // api.md §3, row 1: a list has no pages

Error quota_exceeded(int32_t quota, int32_t wanted) {
  return {ErrorCode::PermissionDenied,
          fmt::format("/replicas: the organization may have {} replicas in all its groups, and "
                      "would have {}",
                      quota, wanted),
          Cause::QuotaExceeded};
}

Error name_conflict(const Fleet& fleet, const Group& holder) {
  std::string text = fmt::format("/name: a container group '{}' ", holder.spec.name);
  if (holder.delete_time == 0) {
    text += "exists in this project";
  } else {
    const int64_t free_at = retention_end(fleet, holder.delete_time);
    text += fmt::format("was deleted in this project; its name can be used again from {} on",
                        format_rfc3339(from_unix_nanos(free_at)));
  }
  return {ErrorCode::AlreadyExists, std::move(text), Cause::NameConflict};
}

// Food, as host names of the contract have it; two words and sixteen characters.
constexpr std::string_view kWords[] = {"apple",  "basil",  "carrot", "celery", "endive", "fennel",
                                       "grape",  "lemon",  "lentil", "mache",  "olive",  "onion",
                                       "pepper", "radish", "rocket", "sorrel", "squash", "tomato"};

std::string new_dns(Fleet& fleet, const std::string& name) {
  const std::string& zone = fleet.settings.zone;
  std::string dns = name + "." + zone;
  // On one's own machine a name that can be typed; on a public zone only the secret form.
  if (zone == "localhost" && !fleet.groups.is_dns_taken(dns)) return dns;
  do {
    // In this order, whatever the compiler makes of arguments.
    const std::string_view first = kWords[fleet.random.below(std::size(kWords))];
    const std::string_view second = kWords[fleet.random.below(std::size(kWords))];
    dns = fmt::format("{}-{}-{}.{}", first, second, random_word(fleet.random, 16), zone);
  } while (fleet.groups.is_dns_taken(dns));
  return dns;
}

Result<const Group*> live_group(const Fleet& fleet, const std::string& id) {
  const Group* group = fleet.groups.find(id);
  if (group == nullptr || group->delete_time != 0) return no_such_group(id);
  return group;
}

// What failed before says nothing about what a person has changed, or wants to be tried again.
void begin_anew(Fleet& fleet, const Group& group) {
  fleet.exclusions.lift_all(group.id, true);
  if (group.failures == 0 && group.restarts == 0) return;
  fleet.groups.change(group.id, [](Group& changed) { changed.failures = changed.restarts = 0; });
}

}  // namespace

Result<std::string> create_group(Fleet& fleet, const ProjectIdentity& project, api::GroupSpec spec,
                                 int32_t replicas_quota, Moment now) {
  const Group* holder = fleet.groups.holder_of(project.project_id, spec.name);
  if (holder != nullptr) return name_conflict(fleet, *holder);
  if (fleet.groups.of_project(project.project_id).size() >= kGroupsOfProjectMax) {
    return Error{ErrorCode::PermissionDenied, "a project has at most 100 container groups",
                 Cause::QuotaExceeded};
  }
  const int32_t used = fleet.groups.replicas_of(project.organization_id) + spec.replicas;
  if (used > replicas_quota) return quota_exceeded(replicas_quota, used);

  Group made{.id = new_uuid(fleet.random)};
  made.organization_id = project.organization_id;
  made.organization_name = project.organization_name;
  made.project_id = project.project_id;
  made.project_name = project.project_name;
  if (spec.networking) made.dns = new_dns(fleet, spec.name);
  made.spec = std::move(spec);
  made.create_time = made.update_time = made.version_time = to_unix_nanos(now.wall);
  // The process runtime pulls nothing, so the preparation of an image (state pending) takes no
  // time.
  made.status = api::GroupStatus::Stopped;
  const Group& group = fleet.groups.add(std::move(made));
  if (group.spec.autostart_policy) TRY_DO(start_group(fleet, group.id, now));
  return group.id;
}

Result<> start_group(Fleet& fleet, const std::string& group_id, Moment now) {
  TRY(const Group* group, live_group(fleet, group_id));
  if (group->started) return {};
  const std::set<std::string> members = fleet.allocations.of_group(group->id);
  for (const std::string& id : members) {
    if (fleet.allocations.at(id).done()) fleet.allocations.erase(id);
  }
  fleet.groups.change(group->id, [&](Group& starting) {
    starting.started = true;
    starting.update.reset();
    starting.status = api::GroupStatus::Deploying;
    starting.start_time = to_unix_nanos(now.wall);
  });
  begin_anew(fleet, *group);
  add_event(fleet, *group, api::event::kGroupStarted, "", now);
  return {};
}

Result<> stop_group(Fleet& fleet, const std::string& group_id, Moment now) {
  TRY(const Group* group, live_group(fleet, group_id));
  if (!group->started) {
    // A finished group becomes a stopped one.
    if (group->status != api::GroupStatus::Stopped) {
      fleet.groups.change(group->id,
                          [](Group& finished) { finished.status = api::GroupStatus::Stopped; });
    }
    return {};
  }
  fleet.groups.change(group->id, [&](Group& stopping) {
    stopping.started = false;
    stopping.status = api::GroupStatus::Stopped;
    stopping.description.clear();
    stopping.update.reset();
    stopping.finish_time = to_unix_nanos(now.wall);
  });
  add_event(fleet, *group, api::event::kGroupStopped, "", now);
  return {};
}

Result<> delete_group(Fleet& fleet, const std::string& group_id, Moment now) {
  TRY(const Group* group, live_group(fleet, group_id));
  if (group->started) TRY_DO(stop_group(fleet, group->id, now));
  fleet.groups.change(group->id,
                      [&](Group& deleted) { deleted.delete_time = to_unix_nanos(now.wall); });
  return {};
}

Result<> patch_group(Fleet& fleet, const std::string& group_id, const api::GroupChange& change,
                     int32_t replicas_quota, Moment now, std::string what) {
  TRY(const Group* group, live_group(fleet, group_id));
  const int32_t old_replicas = group->spec.replicas;
  const int32_t used =
      fleet.groups.replicas_of(group->organization_id) - old_replicas + change.spec.replicas;
  if (change.replicas_changed && used > replicas_quota && change.spec.replicas > old_replicas) {
    return quota_exceeded(replicas_quota, used);
  }
  api::GroupSpec former = group->spec;
  fleet.groups.change(group->id, [&](Group& changed) {
    changed.spec = change.spec;
    changed.update_time = to_unix_nanos(now.wall);
  });
  if (change.replicas_changed) {
    add_event(fleet, *group,
              fmt::format("Container Group Desired Replica Count Updated from {} to {}",
                          old_replicas, change.spec.replicas),
              "", now);
  }
  if (former.networking != group->spec.networking && !change.restart) {
    add_event(fleet, *group, api::event::kGatewaySettings, changes_between(former, group->spec),
              now);
  }
  if (!change.new_version) return {};
  if (what.empty()) what = changes_between(former, group->spec);
  fleet.marks.versions.push_back({.group_id = group->id,
                                  .version = group->version,
                                  .begin_time = group->version_time,
                                  .changes = group->version_changes,
                                  .spec = former});
  fleet.groups.change(group->id, [&](Group& changed) {
    ++changed.version;
    changed.version_time = to_unix_nanos(now.wall);
    changed.version_changes = what;
  });
  begin_anew(fleet, *group);
  add_event(fleet, *group, fmt::format("Container Group Updated (Version {})", group->version),
            std::move(what), now);
  begin_update(fleet, *group, std::move(former), now);
  return {};
}

Result<> set_registry_login(Fleet& fleet, RegistryLogin login) {
  TRY(const Group* group, live_group(fleet, login.group_id));
  fleet.marks.logins.push_back(std::move(login));
  begin_anew(fleet, *group);
  return {};
}

Result<> reallocate(Fleet& fleet, const std::string& group_id, const std::string& instance,
                    Moment now) {
  TRY(const Allocation* allocation, instance_named(fleet, group_id, instance));
  // Only what is on a node can leave it; anything else is accepted without effect (api.md §7).
  if (!allocation->placed() || allocation->wish.stop) return {};
  exclude(fleet, *allocation, fleet.settings.exclusion, false, "reallocated by a user", now);
  add_event(fleet, *allocation, api::event::kReallocatedByUser, "", now);
  release(fleet, allocation->id, now);
  return {};
}

Result<> run_again(Fleet& fleet, const std::string& group_id, const std::string& instance,
                   link::RunAction action) {
  TRY(const Allocation* allocation, instance_named(fleet, group_id, instance));
  const bool running = allocation->state() == api::InstanceState::Running;
  // A second call while one is pending has no double effect.
  if (!running || allocation->status.run < allocation->wish.run) return {};
  fleet.allocations.change(allocation->id, [&](Allocation& again) {
    again.wish.run = again.status.run + 1;
    again.wish.run_action = action;
    again.wish.run_by_user = true;
  });
  return {};
}

Result<> set_deletion_cost(Fleet& fleet, const std::string& group_id, const std::string& instance,
                           int32_t cost) {
  TRY(const Allocation* allocation, instance_named(fleet, group_id, instance));
  fleet.allocations.change(allocation->id, [&](Allocation& priced) {
    priced.wish.deletion_cost = cost;
    ++priced.wish.deletion_cost_change;
  });
  return {};
}

}  // namespace mesclun::cloud
