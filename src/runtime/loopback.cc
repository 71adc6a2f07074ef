#include "runtime/loopback.h"

#include <fmt/format.h>
#include <sys/socket.h>

namespace mesclun::runtime {

Task<Result<ConnPtr>> connect_loopback(TakeSocket take, uint16_t port, bool ipv6_first,
                                       Clock& clock, Duration limit) {
  const TimePoint end = clock.now() + limit;
  Error last;
  bool refused = false;
  for (const int family : {ipv6_first ? AF_INET6 : AF_INET, ipv6_first ? AF_INET : AF_INET6}) {
    Result<Descriptor> socket = co_await take(family, end - clock.now());
    if (!socket) {
      if (socket.code() == ErrorCode::Cancelled) co_return socket.error();
      last = socket.error();
      continue;
    }
    const asio::ip::address address = family == AF_INET6
                                          ? asio::ip::address(asio::ip::address_v6::loopback())
                                          : asio::ip::address(asio::ip::address_v4::loopback());
    Result<ConnPtr> conn =
        co_await connect_descriptor(socket->release(), address, port, clock, end - clock.now());
    if (conn || conn.code() == ErrorCode::Cancelled) co_return conn;
    last = conn.error();
    refused |= last.cause == Cause::Refused;
  }
  // The other family may be missing altogether: the answer that came counts.
  co_return Error{last.code, fmt::format("cannot reach port {}: {}", port, last.message),
                  refused ? Cause::Refused : last.cause};
}

}  // namespace mesclun::runtime
