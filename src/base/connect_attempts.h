// The addresses of one name, tried one beside the other.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <vector>

#include "base/conn.h"

namespace mesclun {

// How long one address is tried alone before the next one is tried beside it (RFC 8305 §5).
inline constexpr Duration kAttemptDelay = 250ms;

// The families take turns, the resolver's first choice first (RFC 8305 §4).
std::vector<asio::ip::tcp::endpoint> interleaved(const std::vector<asio::ip::tcp::endpoint>& found);

using ConnectTo = std::function<Task<Result<ConnPtr>>(asio::ip::tcp::endpoint)>;

// The first connection that comes about, and the end of all other attempts. Tries the addresses in
// their order, each kAttemptDelay after the one before, or at once when an attempt has failed. Has no
// limit of its own. Fails with the last attempt's error; Unavailable without an address.
Task<Result<ConnPtr>> connect_first(Clock& clock, std::vector<asio::ip::tcp::endpoint> addresses,
                                    ConnectTo connect);

}  // namespace mesclun
