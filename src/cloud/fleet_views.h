// What others get to see of the fleet.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

Error no_such_group(std::string_view name);
Error no_such_node(std::string_view id);
// Also one that is being deleted. NotFound.
Result<const Group*> group_named(const Fleet& fleet, const std::string& project_id,
                                 const std::string& name);
// NotFound for one that is being deleted, too.
Result<const Group*> live_group_named(const Fleet& fleet, const std::string& project_id,
                                      const std::string& name);
// `instance` is an instance id or a machine id, of either case. NotFound.
Result<const Allocation*> instance_named(const Fleet& fleet, const std::string& group_id,
                                         const std::string& instance);
// Oldest first.
std::vector<const Allocation*> instances_of(const Fleet& fleet, const std::string& group_id);
// Why replicas of the group wait, for people; empty: none waits.
std::string waiting_reason(const Fleet& fleet, const Group& group);
bool is_placed_on(const Fleet& fleet, const std::string& group_id, const std::string& node_id);

api::GroupFacts facts_of(const Fleet& fleet, const Group& group);
// Of a node that does not speak nothing is said to be ready.
api::Instance instance_view(const Fleet& fleet, const Allocation& allocation);
// What the node is to be told, and the gateways.
link::Spec spec_of(const Group& group, int32_t version, const api::GroupSpec& spec);
link::Desired desired_of(const Fleet& fleet, const std::string& node_id, int64_t revision);
link::Route route_of(const Fleet& fleet, const Group& group);

}  // namespace mesclun::cloud
