#include "runtime/walls/netns_link.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>

#include "base/file.h"

namespace mesclun::runtime {

namespace {

// A request is built front to back in a buffer that is ample for all of ours.
class Request {
 public:
  template <class Body>
  Request(uint16_t type, uint16_t flags, const Body& body) {
    size_ = NLMSG_LENGTH(sizeof body);
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    std::memcpy(NLMSG_DATA(header()), &body, sizeof body);
  }

  void add(uint16_t type, const void* data, size_t size) {
    const size_t at = begin(type);
    std::memcpy(buffer_ + size_, data, size);
    size_ += size;
    end(at);
  }
  void add(uint16_t type, const std::string& text) { add(type, text.c_str(), text.size() + 1); }
  void add(uint16_t type, in_addr address) { add(type, &address, sizeof address); }
  // Attributes inside an attribute lie between begin and end.
  size_t begin(uint16_t type) {
    size_ = NLMSG_ALIGN(size_);
    rtattr attribute{.rta_len = 0, .rta_type = type};
    std::memcpy(buffer_ + size_, &attribute, sizeof attribute);
    size_ += RTA_LENGTH(0);
    return size_ - RTA_LENGTH(0);
  }
  void end(size_t begun_at) {
    const auto length = static_cast<unsigned short>(size_ - begun_at);
    std::memcpy(buffer_ + begun_at, &length, sizeof length);
  }
  template <class Body>
  void add_body(const Body& body) {
    std::memcpy(buffer_ + size_, &body, sizeof body);
    size_ += sizeof body;
  }

  Result<> ask() {
    header()->nlmsg_len = static_cast<uint32_t>(NLMSG_ALIGN(size_));
    const Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!socket) return system_error("no netlink socket");
    if (::send(socket.get(), buffer_, header()->nlmsg_len, 0) < 0) return system_error("netlink");
    const ssize_t n = ::recv(socket.get(), buffer_, sizeof buffer_, 0);
    if (n < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr)))) return system_error("netlink");
    const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(header()));
    if (header()->nlmsg_type != NLMSG_ERROR) return Error::internal("netlink: unexpected answer");
    if (error->error == 0) return {};
    errno = -error->error;
    return system_error("the kernel refuses");
  }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_); }

  alignas(nlmsghdr) char buffer_[1024] = {};
  size_t size_ = 0;
};

in_addr to_address(const std::string& text) {
  in_addr address{};
  ::inet_pton(AF_INET, text.c_str(), &address);
  return address;
}

}  // namespace

Result<int> link_index(const std::string& name) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return Error::not_found("no network interface " + name);
  return static_cast<int>(index);
}

Result<> set_link_up(int index) {
  ifinfomsg body{};
  body.ifi_index = index;
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  return Request(RTM_NEWLINK, 0, body).ask();
}

Result<> add_address(int index, const std::string& address, int prefix_length) {
  ifaddrmsg body{};
  body.ifa_family = AF_INET;
  body.ifa_prefixlen = static_cast<unsigned char>(prefix_length);
  body.ifa_scope = index == kLoopback ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  body.ifa_index = static_cast<unsigned>(index);
  Request request(RTM_NEWADDR, NLM_F_CREATE, body);
  request.add(IFA_LOCAL, to_address(address));
  request.add(IFA_ADDRESS, to_address(address));
  Result<> done = request.ask();
  if (!done && done.code() == ErrorCode::AlreadyExists) return {};
  return done;
}

Result<> add_default_route(const std::string& gateway) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_BOOT;
  body.rtm_scope = RT_SCOPE_UNIVERSE;
  body.rtm_type = RTN_UNICAST;
  Request request(RTM_NEWROUTE, NLM_F_CREATE, body);
  request.add(RTA_GATEWAY, to_address(gateway));
  return request.ask();
}

Result<> create_link_pair(const std::string& name, const std::string& peer_name,
                          pid_t peer_process) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  request.add(IFLA_IFNAME, name);
  const size_t info = request.begin(IFLA_LINKINFO);
  request.add(IFLA_INFO_KIND, std::string("veth"));
  const size_t data = request.begin(IFLA_INFO_DATA);
  const size_t peer = request.begin(VETH_INFO_PEER);
  request.add_body(ifinfomsg{});
  request.add(IFLA_IFNAME, peer_name);
  const auto process = static_cast<uint32_t>(peer_process);
  request.add(IFLA_NET_NS_PID, &process, sizeof process);
  request.end(peer);
  request.end(data);
  request.end(info);
  return request.ask();
}

}  // namespace mesclun::runtime
