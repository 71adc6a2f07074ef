// What people ask of the fleet: container groups and single instances.
#include "cloud/fleet.h"

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

// Food, as host names of the contract have it; two words and sixteen characters.
constexpr std::string_view kWords[] = {"apple",  "basil",  "carrot", "celery", "endive", "fennel",
                                       "grape",  "lemon",  "lentil", "mache",  "olive",  "onion",
                                       "pepper", "radish", "rocket", "sorrel", "squash", "tomato"};

}  // namespace

std::string Fleet::new_dns(const std::string& name) {
  std::string dns = name + "." + settings_.zone;
  // On one's own machine a name that can be typed; on a public zone only the secret form.
  if (settings_.zone == "localhost" && !dns_taken_.contains(dns)) return dns;
  do {
    dns = fmt::format("{}-{}-{}.{}", kWords[random_.below(std::size(kWords))],
                      kWords[random_.below(std::size(kWords))], random_word(random_, 16),
                      settings_.zone);
  } while (dns_taken_.contains(dns));
  return dns;
}

Result<std::string> Fleet::create_group(const ProjectIdentity& project, api::GroupSpec spec,
                                        int32_t replicas_quota, Moment now) {
  const auto key = std::pair(project.project_id, spec.name);
  if (group_ids_.contains(key)) {
    return Error{ErrorCode::AlreadyExists,
                 fmt::format("/name: a container group '{}' exists or existed in this project; "
                             "names cannot be used again",
                             spec.name),
                 Cause::NameConflict};
  }
  if (groups_of(project.project_id).size() >= kGroupsOfProjectMax) {
    return Error{ErrorCode::PermissionDenied, "a project has at most 100 container groups",
                 Cause::QuotaExceeded};
  }
  const int32_t used = replicas_used(project.organization_id) + spec.replicas;
  if (used > replicas_quota) return quota_exceeded(replicas_quota, used);

  Group made{.id = new_uuid(random_)};
  made.organization_id = project.organization_id;
  made.organization_name = project.organization_name;
  made.project_id = project.project_id;
  made.project_name = project.project_name;
  if (spec.networking) made.dns = new_dns(spec.name);
  made.spec = std::move(spec);
  made.create_time = made.update_time = to_unix_nanos(now.wall);
  // The process runtime pulls nothing, so the preparation of an image (state pending) takes no
  // time.
  made.status = api::GroupStatus::Stopped;
  const std::string id = made.id;
  group_ids_[key] = id;
  if (!made.dns.empty()) dns_taken_.insert(made.dns);
  Group& group = groups_[id] = std::move(made);
  changed(group);
  if (group.spec.autostart_policy) TRY_DO(start_group(id, now));
  return id;
}

Result<> Fleet::start_group(const std::string& group_id, Moment now) {
  Group* group = live_group(group_id);
  if (group == nullptr) return Error::not_found("no such container group");
  if (group->started) return {};
  const std::set<std::string> members = by_group_[group_id];
  for (const std::string& id : members) {
    if (allocations_.at(id).done()) erase(id);
  }
  group->started = true;
  group->status = api::GroupStatus::Deploying;
  group->start_time = to_unix_nanos(now.wall);
  changed(*group);
  add_event(*group, "Container Group Started", "", now);
  return {};
}

Result<> Fleet::stop_group(const std::string& group_id, Moment now) {
  Group* group = live_group(group_id);
  if (group == nullptr) return Error::not_found("no such container group");
  if (!group->started) {
    // A finished group becomes a stopped one.
    if (group->status != api::GroupStatus::Stopped) {
      group->status = api::GroupStatus::Stopped;
      changed(*group);
    }
    return {};
  }
  group->started = false;
  group->status = api::GroupStatus::Stopped;
  group->description.clear();
  group->finish_time = to_unix_nanos(now.wall);
  changed(*group);
  add_event(*group, "Container Group Stopped", "", now);
  return {};
}

Result<> Fleet::delete_group(const std::string& group_id, Moment now) {
  Group* group = live_group(group_id);
  if (group == nullptr) return Error::not_found("no such container group");
  if (group->started) TRY_DO(stop_group(group_id, now));
  group->delete_time = to_unix_nanos(now.wall);
  changed(*group);
  return {};
}

Result<> Fleet::patch_group(const std::string& group_id, const api::GroupChange& change,
                            int32_t replicas_quota, Moment now) {
  Group* group = live_group(group_id);
  if (group == nullptr) return Error::not_found("no such container group");
  const int32_t used =
      replicas_used(group->organization_id) - group->spec.replicas + change.spec.replicas;
  if (change.replicas_changed && used > replicas_quota &&
      change.spec.replicas > group->spec.replicas) {
    return quota_exceeded(replicas_quota, used);
  }
  const int32_t old_replicas = group->spec.replicas;
  group->spec = change.spec;
  group->update_time = to_unix_nanos(now.wall);
  changed(*group);
  if (change.replicas_changed) {
    add_event(*group,
              fmt::format("Container Group Desired Replica Count Updated from {} to {}",
                          old_replicas, group->spec.replicas),
              "", now);
  }
  if (!change.new_version) return {};
  ++group->version;
  add_event(*group, fmt::format("Container Group Updated (Version {})", group->version), "", now);
  const std::set<std::string> members = by_group_[group_id];
  for (const std::string& id : members) {
    Allocation& allocation = allocations_.at(id);
    if (allocation.wish.stop || allocation.done()) continue;
    const auto node = nodes_.find(allocation.node_id);
    if (change.placement_changed && node != nodes_.end()) {
      // Measured against the whole machine: what runs there already has its share.
      NodeOffer offer = offer_of(node->second, now);
      for (const link::GpuFacts& gpu : node->second.facts.gpus) {
        offer.gpu_classes_free.push_back(gpu.class_id);
      }
      if (!could_carry(offer, group->spec.container.resources, group->spec.country_codes)) {
        add_event(allocation, "Instance Reallocated by Platform",
                  "its node does not fit the updated group", now);
        release(allocation, now);
        continue;
      }
    }
    allocation.wish.version = group->version;
    if (change.restart_all && allocation.placed()) {
      ++allocation.wish.run;
      allocation.wish.run_action = link::RunAction::Recreate;
      allocation.wish.run_by_user = false;
    }
    changed(allocation);
  }
  return {};
}

Allocation* Fleet::instance_in(const std::string& group_id, std::string_view instance) {
  const Allocation* found = find_instance(group_id, instance);
  return found == nullptr ? nullptr : &allocations_.at(found->id);
}

Result<> Fleet::reallocate(const std::string& group_id, std::string_view instance, Moment now) {
  Allocation* allocation = instance_in(group_id, instance);
  if (allocation == nullptr) return Error::not_found("no such instance");
  // Only what is on a node can leave it; anything else is accepted without effect (api.md §7).
  if (!allocation->placed() || allocation->wish.stop) return {};
  exclude(group_id, allocation->node_id, settings_.exclusion, now);
  add_event(*allocation, "Instance Reallocated by User", "", now);
  release(*allocation, now);
  return {};
}

Result<> Fleet::run_again(const std::string& group_id, std::string_view instance,
                          link::RunAction action, Moment) {
  Allocation* allocation = instance_in(group_id, instance);
  if (allocation == nullptr) return Error::not_found("no such instance");
  link::ReplicaWish& wish = allocation->wish;
  const bool running = allocation->state() == api::InstanceState::Running;
  // A second call while one is pending has no double effect.
  if (!running || allocation->status.run < wish.run) return {};
  wish.run = allocation->status.run + 1;
  wish.run_action = action;
  wish.run_by_user = true;
  changed(*allocation);
  return {};
}

Result<> Fleet::set_deletion_cost(const std::string& group_id, std::string_view instance,
                                  int32_t cost, Moment) {
  Allocation* allocation = instance_in(group_id, instance);
  if (allocation == nullptr) return Error::not_found("no such instance");
  allocation->wish.deletion_cost = cost;
  ++allocation->wish.deletion_cost_change;
  changed(*allocation);
  return {};
}

}  // namespace mesclun::cloud
