// From what the cloud wants to what the driver runs (imds.md §7).
#pragma once

#include "agent/state_store.h"
#include "api/container_group.h"
#include "runtime/driver.h"

namespace mesclun::agent {

// What of the node shows in every run.
struct NodeIdentity {
  std::string machine_id;
  int32_t cpu_share_percent = 100;
  std::vector<std::string> gpus;  // real ones, by UUID
};

// A spec as it stands in an Assignment. InvalidArgument if it is none.
Result<api::GroupSpec> read_spec(const json::object& spec);

// What of a spec this node cannot do, for people: a newer cloud may ask for it. Empty: it can do all.
std::string cannot_run(const api::GroupSpec& spec);

// The user's variables, with ours over them; HOSTNAME only where the user sets none.
std::map<std::string, std::string> make_environment(const link::GroupIdentity& group,
                                                    const api::GroupSpec& spec,
                                                    std::string_view instance_id,
                                                    std::string_view machine_id);

runtime::RunLimits limits_of(const api::GroupSpec& spec, const NodeIdentity& node);
// `files_of`: the earlier run whose files it takes over, or empty.
runtime::RunSpec make_run(const Assignment& assignment, const api::GroupSpec& spec,
                          const NodeIdentity& node, std::string instance_id, std::string files_of);

}  // namespace mesclun::agent
