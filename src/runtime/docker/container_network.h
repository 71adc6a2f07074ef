// The network namespace of a container, from outside. Needs root.
#pragma once

#include <sys/types.h>

#include "base/file.h"

namespace mesclun::runtime {

// Runs on: any thread; each call takes about a tenth of a millisecond, on a thread of its own that
//          enters the namespace.
class ContainerNetwork {
 public:
  ContainerNetwork() = default;
  // Of that process. It outlives the process for as long as this object is held.
  static Result<ContainerNetwork> of(pid_t process);

  // Loopback is up and has the metadata service's address; again does no harm.
  Result<> set_up_loopback();
  // The container's end of a way out (walls/netns_egress.h).
  Result<> set_up_egress(const std::string& address, const std::string& gateway);
  // A socket that listens at 169.254.169.254:80.
  Result<Descriptor> listen_metadata();
  // One at 127.0.0.1.
  Result<Descriptor> listen_loopback(uint16_t port);
  // Fresh TCP sockets, AF_INET or AF_INET6.
  Result<std::vector<Descriptor>> sockets(int family, size_t count);

 private:
  explicit ContainerNetwork(Descriptor place) : place_(std::move(place)) {}

  Descriptor place_;
};

}  // namespace mesclun::runtime
