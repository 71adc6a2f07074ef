// What others get to see of the fleet.
#include <algorithm>

#include "base/text.h"
#include "cloud/fleet.h"

namespace mesclun::cloud {

const Group* Fleet::find_group(std::string_view project_id, std::string_view name) const {
  const auto found = group_ids_.find({std::string(project_id), std::string(name)});
  if (found == group_ids_.end()) return nullptr;
  const Group& group = groups_.at(found->second);
  return group.gone ? nullptr : &group;
}

const Group* Fleet::group(const std::string& id) const {
  const auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : &found->second;
}

std::vector<const Group*> Fleet::groups_of(std::string_view project_id) const {
  std::vector<const Group*> out;
  for (auto entry = group_ids_.lower_bound({std::string(project_id), ""});
       entry != group_ids_.end() && entry->first.first == project_id; ++entry) {
    const Group& group = groups_.at(entry->second);
    if (group.delete_time == 0) out.push_back(&group);
  }
  return out;
}

api::GroupFacts Fleet::facts(const Group& group) const {
  api::GroupFacts facts{.id = group.id,
                        .organization_name = group.organization_name,
                        .project_name = group.project_name,
                        .dns = group.dns};
  facts.version = group.version;
  facts.status = group.status;
  facts.description = group.description;
  facts.create_time = from_unix_nanos(group.create_time);
  facts.update_time = from_unix_nanos(group.update_time);
  facts.start_time = from_unix_nanos(group.start_time);
  facts.finish_time = from_unix_nanos(group.finish_time);
  const auto members = by_group_.find(group.id);
  if (members == by_group_.end()) return facts;
  for (const std::string& id : members->second) {
    const Allocation& allocation = allocations_.at(id);
    if (allocation.lost || allocation.done()) continue;
    switch (allocation.state()) {
      case api::InstanceState::Allocating:
        ++facts.counts.allocating_count;
        break;
      case api::InstanceState::Downloading:
      case api::InstanceState::Creating:
        ++facts.counts.creating_count;
        break;
      case api::InstanceState::Running:
        ++facts.counts.running_count;
        break;
      case api::InstanceState::Stopping:
        ++facts.counts.stopping_count;
        break;
    }
    const bool carries_old = allocation.placed() && !allocation.wish.stop &&
                             allocation.status.version != 0 &&
                             allocation.status.version != group.version;
    if (carries_old) facts.pending_change = true;
  }
  return facts;
}

std::vector<const Allocation*> Fleet::instances_of(const std::string& group_id) const {
  std::vector<const Allocation*> out;
  const auto members = by_group_.find(group_id);
  if (members == by_group_.end()) return out;
  for (const std::string& id : members->second) {
    const Allocation& allocation = allocations_.at(id);
    if (!allocation.lost && !allocation.done()) out.push_back(&allocation);
  }
  std::ranges::sort(out, {}, [](const Allocation* a) { return std::tie(a->create_time, a->id); });
  return out;
}

const Allocation* Fleet::find_instance(const std::string& group_id,
                                       std::string_view instance) const {
  const std::string wanted = lower_case(instance);
  for (const Allocation* allocation : instances_of(group_id)) {
    if (allocation->status.instance_id == wanted) return allocation;
    // A machine id means what serves there, not what is on its way out.
    if (allocation->node_id == wanted && !allocation->wish.stop) return allocation;
  }
  return nullptr;
}

api::Instance Fleet::instance_view(const Allocation& allocation) const {
  const link::ReplicaStatus& status = allocation.status;
  api::Instance view{.id = status.instance_id};
  view.machine_id = allocation.placed() ? allocation.node_id : std::string(kNilUuid);
  view.state = allocation.state();
  view.update_time = format_rfc3339(from_unix_nanos(allocation.update_time));
  view.version = status.version != 0 ? status.version : allocation.wish.version;
  view.ready = allocation.ready() && status.state == link::RunState::Running;
  view.started = status.started;
  view.deletion_cost = std::clamp(allocation.deletion_cost(), 0, api::kDeletionCostMax);
  return view;
}

link::Desired Fleet::desired(const std::string& node_id, int64_t revision) const {
  link::Desired desired{.revision = revision};
  for (const std::string& id : allocations_on(node_id)) {
    const Allocation& allocation = allocations_.at(id);
    // What is done or lost is not wanted there. A lost one that still runs is told so in its own
    // session only after its first report (take_back_or_end).
    if (allocation.done()) continue;
    const Group& group = groups_.at(allocation.group_id);
    link::Assignment& assignment = desired.assignments.emplace_back();
    assignment.allocation_id = allocation.id;
    assignment.instance_id = allocation.status.instance_id;
    assignment.group = {.group_id = group.id,
                        .group_name = group.spec.name,
                        .project_id = group.project_id,
                        .project_name = group.project_name,
                        .organization_id = group.organization_id,
                        .organization_name = group.organization_name};
    assignment.spec = write_json(group.spec).get_object();
    assignment.wish = allocation.wish;
    assignment.wish.stop = !allocation.counts();
  }
  return desired;
}

link::Route Fleet::route(const Group& group) const {
  link::Route route{.dns = group.dns, .group_id = group.id};
  route.organization_id = group.organization_id;
  route.deleted = group.delete_time != 0;
  if (!group.spec.networking) return route;
  const api::Networking& networking = *group.spec.networking;
  route.auth = networking.auth;
  route.least_connections = networking.load_balancer == api::LoadBalancer::LeastNumberOfConnections;
  route.single_connection_limit = networking.single_connection_limit;
  route.port = networking.port;
  route.client_request_timeout_ms = networking.client_request_timeout;
  route.server_response_timeout_ms = networking.server_response_timeout;
  const auto members = by_group_.find(group.id);
  if (members == by_group_.end() || route.deleted) return route;
  for (const std::string& id : members->second) {
    const Allocation& allocation = allocations_.at(id);
    if (!allocation.placed() || !allocation.counts() || allocation.done()) continue;
    route.instances.push_back({.instance_id = allocation.status.instance_id,
                               .machine_id = allocation.node_id,
                               .ready = allocation.serves()});
  }
  return route;
}

int32_t Fleet::replicas_used(std::string_view organization_id) const {
  int32_t used = 0;
  for (const auto& [id, group] : groups_) {
    if (group.organization_id != organization_id || group.delete_time != 0) continue;
    used += group.spec.queue_autoscaler ? group.spec.queue_autoscaler->max_replicas
                                        : group.spec.replicas;
  }
  return used;
}

bool Fleet::is_excluded(const std::string& group_id, const std::string& node_id,
                        WallTime now) const {
  const auto found = exclusions_.find({node_id, group_id});
  return found != exclusions_.end() && found->second > to_unix_nanos(now);
}

bool Fleet::is_placed_on(const std::string& group_id, const std::string& node_id) const {
  return std::ranges::any_of(allocations_on(node_id), [&](const std::string& id) {
    return allocations_.at(id).group_id == group_id;
  });
}

const std::set<std::string>& Fleet::allocations_on(const std::string& node_id) const {
  static const std::set<std::string> kNone;
  const auto found = by_node_.find(node_id);
  return found == by_node_.end() ? kNone : found->second;
}

}  // namespace mesclun::cloud
