// The control group above those of all containers: together they weigh as much as one other group of
// the machine, such as its owner's session.
#pragma once

#include "base/json.h"

namespace mesclun::runtime {

// How an engine that says this of itself (GET /info) wants it to be called; empty: it makes no groups.
// Pure.
std::string cgroup_parent_name(const json::value& info);

// Its name, once it is there: made by us, in the same place as that of processes, or later by systemd.
Result<std::string> make_cgroup_parent(const json::value& info);

}  // namespace mesclun::runtime
