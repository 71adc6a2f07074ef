// Whom we may call on behalf of a tenant.
#pragma once

#include <boost/asio/ip/address.hpp>

namespace mesclun {

// Reachable for anybody on the Internet: not this machine, not a network that is private, of a
// provider's own, for documentation, multicast or reserved (RFC 6890). IPv6 addresses that stand for
// an IPv4 address are judged by that one.
//
// An AddressRule for dial(): decided about the address that is connected to, so that no name can say
// one thing when it is checked and another when it is used.
bool is_public_address(const boost::asio::ip::address& address);

}  // namespace mesclun
