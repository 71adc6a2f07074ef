// What simulated users may wish for.
#pragma once

#include "api/container_group.h"
#include "base/random.h"

namespace mesclun::sim {

// The first word of a command: what runs is a service, or a job that comes to an end.
inline constexpr std::string_view kService = "work";
inline constexpr std::string_view kJob = "job";

api::GroupSpec random_spec(Random& random, int number, size_t replicas_max);

// A merge patch of one to three members, of all that may be changed. The port is left out: only
// groups with a network have one.
json::object random_patch(Random& random, size_t replicas_max);

}  // namespace mesclun::sim
