#include "cloud/fleet_views.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ids.h"
#include "base/text.h"
#include "cloud/fleet_update.h"

namespace mesclun::cloud {

namespace {

// What people see as an instance.
bool is_shown(const Allocation& allocation) {
  return !allocation.lost && !allocation.done();
}

Error no_such_instance(std::string_view id) {
  return Error::not_found(
      fmt::format("no instance '{}'; its id changes with every start", id.substr(0, 100)));
}

link::GroupIdentity identity_of(const Group& group) {
  return {.group_id = group.id,
          .group_name = group.spec.name,
          .project_id = group.project_id,
          .project_name = group.project_name,
          .organization_id = group.organization_id,
          .organization_name = group.organization_name};
}

}  // namespace

Error no_such_group(std::string_view name) {
  return Error::not_found(fmt::format("no container group '{}'", name.substr(0, 100)));
}

Error no_such_node(std::string_view id) {
  return Error::not_found(fmt::format("no node '{}'", id.substr(0, 100)));
}

Result<const Group*> group_named(const Fleet& fleet, const std::string& project_id,
                                 const std::string& name) {
  const Group* found = fleet.groups.find_named(project_id, name);
  if (found == nullptr) return no_such_group(name);
  return found;
}

Result<const Group*> live_group_named(const Fleet& fleet, const std::string& project_id,
                                      const std::string& name) {
  TRY(const Group* group, group_named(fleet, project_id, name));
  if (group->delete_time != 0) return no_such_group(name);
  return group;
}

Result<const Allocation*> instance_named(const Fleet& fleet, const std::string& group_id,
                                         const std::string& instance) {
  const std::string wanted = lower_case(instance);
  for (const Allocation* found : fleet.allocations.of_instance(wanted)) {
    if (found->group_id == group_id && is_shown(*found)) return found;
  }
  for (const std::string& id : fleet.allocations.on_node(wanted)) {
    const Allocation& here = fleet.allocations.at(id);
    // A machine id means what serves there, not what is on its way out.
    if (here.group_id == group_id && is_shown(here) && !here.wish.stop) return &here;
  }
  return no_such_instance(instance);
}

std::vector<const Allocation*> instances_of(const Fleet& fleet, const std::string& group_id) {
  std::vector<const Allocation*> out;
  for (const std::string& id : fleet.allocations.of_group(group_id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (is_shown(allocation)) out.push_back(&allocation);
  }
  std::ranges::sort(out, {}, [](const Allocation* a) { return std::tie(a->create_time, a->id); });
  return out;
}

std::string waiting_reason(const Fleet& fleet, const Group& group) {
  if (fleet.allocations.waiting_of(group.id).empty()) return "";
  const Misfit* misfit = fleet.waiting.find(group.id);
  return misfit == nullptr ? "Waiting for its turn to be placed." : misfit->text();
}

bool is_placed_on(const Fleet& fleet, const std::string& group_id, const std::string& node_id) {
  return std::ranges::any_of(fleet.allocations.on_node(node_id), [&](const std::string& id) {
    return fleet.allocations.at(id).group_id == group_id;
  });
}

api::GroupFacts facts_of(const Fleet& fleet, const Group& group) {
  api::GroupFacts facts{.id = group.id,
                        .organization_name = group.organization_name,
                        .project_name = group.project_name,
                        .dns = group.dns};
  facts.version = group.version;
  facts.status = group.status;
  const std::string waits = waiting_reason(fleet, group);
  facts.description = waits.empty() ? group.description : waits;
  if (const std::string update = update_text(fleet, group); !update.empty()) {
    facts.description = waits.empty() ? update : fmt::format("{} {}", update, waits);
  }
  facts.create_time = from_unix_nanos(group.create_time);
  facts.update_time = from_unix_nanos(group.update_time);
  facts.start_time = from_unix_nanos(group.start_time);
  facts.finish_time = from_unix_nanos(group.finish_time);
  const GroupTally& tally = fleet.allocations.tally(group.id);
  facts.counts = {.allocating_count = tally.allocating,
                  .creating_count = tally.creating,
                  .running_count = tally.running,
                  .stopping_count = tally.stopping};
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    const int32_t carried = allocation.status.version;
    const bool old = is_shown(allocation) && allocation.placed() && !allocation.wish.stop &&
                     carried != 0 && carried != group.version;
    if (old) facts.pending_change = true;
  }
  if (group.update) facts.pending_change = true;
  return facts;
}

api::Instance instance_view(const Fleet& fleet, const Allocation& allocation) {
  const Node* node = fleet.nodes.find(allocation.node_id);
  const link::ReplicaStatus& status = allocation.status;
  api::Instance view{.id = status.instance_id};
  view.machine_id = allocation.placed() ? allocation.node_id : std::string(kNilUuid);
  view.state = allocation.state();
  view.update_time = format_rfc3339(from_unix_nanos(allocation.update_time));
  view.version = status.version != 0 ? status.version : allocation.wish.version;
  view.ready = node != nullptr && node->online() && allocation.ready() &&
               status.state == link::RunState::Running;
  view.started = status.started;
  if (view.state == api::InstanceState::Downloading) {
    view.pulling_progress = status.pulled_percent.value_or(0);
  }
  view.deletion_cost = std::clamp(allocation.deletion_cost(), 0, api::kDeletionCostMax);
  return view;
}

link::Spec spec_of(const Group& group, int32_t version, const api::GroupSpec& spec) {
  json::object document = write_json(spec).get_object();
  // Lines go to the sink from here; its secrets are not the machine's.
  document["container"].as_object().erase("logging");
  return {.group = identity_of(group), .version = version, .spec = std::move(document)};
}

link::Desired desired_of(const Fleet& fleet, const std::string& node_id, int64_t revision) {
  link::Desired desired{.revision = revision};
  for (const std::string& id : fleet.allocations.on_node(node_id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    // What is done is not wanted there. A lost one that still runs goes on as it was until a report
    // takes it back or has it forgotten: the first one of a session may have been lost with a commit
    // that failed.
    if (allocation.done()) continue;
    link::Assignment& assignment = desired.assignments.emplace_back();
    assignment.allocation_id = allocation.id;
    assignment.instance_id = allocation.status.instance_id;
    assignment.group_id = allocation.group_id;
    assignment.wish = allocation.wish;
  }
  return desired;
}

link::Route route_of(const Fleet& fleet, const Group& group) {
  link::Route route{.dns = group.dns, .group_id = group.id};
  route.organization_id = group.organization_id;
  route.deleted = group.delete_time != 0;
  if (!group.spec.networking) return route;
  const api::Networking& networking = *group.spec.networking;
  route.auth = networking.auth;
  route.adaptive = networking.load_balancer == api::LoadBalancer::Adaptive;
  route.least_connections = networking.load_balancer != api::LoadBalancer::RoundRobin;
  route.single_connection_limit = networking.single_connection_limit;
  route.port = networking.port;
  route.client_request_timeout_ms = networking.client_request_timeout;
  route.server_response_timeout_ms = networking.server_response_timeout;
  if (route.deleted) return route;
  for (const std::string& id : fleet.allocations.of_group(group.id)) {
    const Allocation& allocation = fleet.allocations.at(id);
    if (!allocation.placed() || !allocation.wanted() || allocation.done()) continue;
    const api::GroupSpec* carried = spec_of_version(group, allocation.status.version);
    const bool known = carried != nullptr && carried->networking;
    const int32_t port = known ? carried->networking->port : networking.port;
    route.instances.push_back({.instance_id = allocation.status.instance_id,
                               .machine_id = allocation.node_id,
                               .ready = allocation.serves(),
                               .port = port == networking.port ? 0 : port});
  }
  return route;
}

}  // namespace mesclun::cloud
