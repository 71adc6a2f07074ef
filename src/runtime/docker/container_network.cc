#include "runtime/docker/container_network.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/socket.h>

#include <thread>

#include "runtime/walls/netns.h"
#include "runtime/walls/netns_egress.h"
#include "runtime/walls/netns_link.h"

namespace mesclun::runtime {

namespace {

// A thread that has entered another namespace is good for nothing else.
template <class Body>
auto inside(int place, Body body) -> decltype(body()) {
  decltype(body()) out = Error::internal("");
  std::thread([&] {
    if (::setns(place, CLONE_NEWNET) == 0) {
      out = body();
    } else {
      out = system_error("cannot enter the container's network");
    }
  }).join();
  return out;
}

}  // namespace

Result<ContainerNetwork> ContainerNetwork::of(pid_t process) {
  const std::string path = fmt::format("/proc/{}/ns/net", process);
  Descriptor place(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!place) return system_error("cannot open " + path);
  return ContainerNetwork(std::move(place));
}

Result<> ContainerNetwork::set_up_loopback() {
  return inside(place_.get(), []() -> Result<> {
    TRY_DO(set_link_up(kLoopback));
    return add_address(kLoopback, kMetadataAddress, 32);
  });
}

Result<> ContainerNetwork::set_up_egress(const std::string& address, const std::string& gateway) {
  return inside(place_.get(), [&] { return enter_egress(address, gateway, false); });
}

Result<Descriptor> ContainerNetwork::listen_metadata() {
  return inside(place_.get(), [] { return listen_tcp(kMetadataAddress, kMetadataPort); });
}

Result<Descriptor> ContainerNetwork::listen_loopback(uint16_t port) {
  return inside(place_.get(), [port] { return listen_tcp("127.0.0.1", port); });
}

Result<std::vector<Descriptor>> ContainerNetwork::sockets(int family, size_t count) {
  return inside(place_.get(), [&]() -> Result<std::vector<Descriptor>> {
    std::vector<Descriptor> out;
    for (size_t i = 0; i < count; ++i) {
      Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (!socket) return system_error("no socket in the container's network");
      out.push_back(std::move(socket));
    }
    return out;
  });
}

}  // namespace mesclun::runtime
