// The rules of placement once more, written from lifecycle.md §6 and §7: slow, and sharing no code
// with the planner, which they judge.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cloud/fleet.h"

namespace mesclun::sim {

// What of the rules is broken on the node by what stands there, for people: cores, memory, storage,
// GPUs, countries, one instance of a group. Not said of what is ending, or is still to hear of a
// new version.
std::vector<std::string> broken_rules(const cloud::Fleet& fleet, const cloud::Node& node);

// Whether one more replica of the group may run on the node now, if the allocations `without` were
// not there. `exclusions_hold`: those that end before it hold no more.
bool has_room(const cloud::Fleet& fleet, const cloud::Group& group, const cloud::Node& node,
              const std::set<std::string>& without, WallTime exclusions_hold);

}  // namespace mesclun::sim
