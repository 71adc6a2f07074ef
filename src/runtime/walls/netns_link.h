// Network interfaces by rtnetlink: the little that a run's network needs. All of it acts on the
// network namespace of the calling thread, and answers within microseconds.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace mesclun::runtime {

// Interface 1 is loopback in every namespace.
inline constexpr int kLoopback = 1;

// NotFound if there is no such interface.
Result<int> link_index(const std::string& name);
Result<> set_link_up(int index);
// IPv4. An address that is there already is fine.
Result<> add_address(int index, const std::string& address, int prefix_length);
Result<> add_default_route(const std::string& gateway);
// A pair of interfaces: `name` here, `peer_name` in the network of that process. AlreadyExists: the
// name is taken here.
Result<> create_link_pair(const std::string& name, const std::string& peer_name,
                          pid_t peer_process);

}  // namespace mesclun::runtime
