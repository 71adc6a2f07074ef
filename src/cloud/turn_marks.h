// What a turn of the fleet has touched so far.
#pragma once

#include <set>

#include "cloud/fleet_state.h"
#include "cloud/registry_logins.h"

namespace mesclun::cloud {

// The tables mark what they change, so that no rule can forget to: whatever was changed is stored,
// and whoever has to hear of it does. Rules and the turn's end read the marks and take them away.
struct TurnMarks {
  // To be stored.
  std::set<std::string> groups;       // those that are in the table no more are erased
  std::set<std::string> allocations;  // likewise
  std::set<std::string> nodes;        // likewise
  std::vector<Exclusion> exclusions;
  std::vector<GroupVersion> versions;  // those that are former now
  std::vector<RegistryLogin> logins;
  std::vector<Event> events;
  // To be told.
  std::set<std::string> desired;     // nodes whose assignments changed
  std::set<std::string> routes;      // groups whose routes may have changed
  std::set<std::string> free_hosts;  // host names that belong to no group any more
  // To be looked at by the rules.
  std::set<std::string> review;  // groups
  std::set<std::string> offers;  // nodes that offer something else now, or to other groups
  std::set<std::string> seek;    // groups of which a waiting replica may fit now, or none waits
  // Allocations that got their node in this turn: nobody was told yet.
  std::set<std::string> placed;
};

}  // namespace mesclun::cloud
