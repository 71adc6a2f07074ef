// The way out for runs with a network of their own: an interface pair to the machine's network,
// address translation there, and a filter: public addresses and the machine's name servers are
// reached, private ones, the machine itself and other runs are not. IPv4 only; by IPv6 nothing is
// reached. Needs root and the command `nft`.
//
// Run number i has the network 10.213.0.0/16 + 4 i, of four addresses: .1 is the machine's end,
// named msc<i>, .2 the run's, named eth0. Names are unique on the machine, so several agents share
// the numbers without talking to each other. The pair goes with the run's network namespace.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mesclun::runtime {

struct EgressAddresses {
  std::string interface;
  std::string machine;
  std::string run;
};
inline constexpr int kEgressPrefixLength = 30;
// 0 <= number < 16384.
EgressAddresses egress_addresses(int number);

// The IPv4 name servers of a resolv.conf that are reached from a network of one's own.
std::vector<std::string> name_servers(std::string_view resolv_conf);

// Those of this machine, as they are now.
std::vector<std::string> reachable_name_servers();

// Switches on forwarding, translation and filter; again does no harm. Unavailable says what is missing.
// Blocks for the milliseconds that `nft` takes.
Result<> prepare_egress();
// Gives the network of that process an interface; the run's end is set up by enter_egress there.
Result<EgressAddresses> attach_egress(const std::string& instance_id, pid_t process);
// Inside: the address, the route, and, with `own_mounts`, name servers that can be reached.
Result<> enter_egress(const std::string& address, const std::string& gateway, bool own_mounts);

}  // namespace mesclun::runtime
