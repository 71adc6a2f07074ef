// How a port of an application is reached, in whatever network it lives.
#pragma once

#include <functional>

#include "base/file.h"
#include "base/socket_conn.h"

namespace mesclun::runtime {

// A fresh TCP socket of that family, AF_INET or AF_INET6, in the application's network.
using TakeSocket = std::function<Task<Result<Descriptor>>(int family, Duration limit)>;

// As ContainerDriver::connect.
Task<Result<ConnPtr>> connect_loopback(TakeSocket take, uint16_t port, bool ipv6_first,
                                       Clock& clock, Duration limit);

}  // namespace mesclun::runtime
