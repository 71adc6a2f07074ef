// For tests: a machine in a network namespace of its own, with a wire to another namespace, where one
// server has a public address and many private ones.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "base/socket_conn.h"
#include "base/test_folder.h"
#include "runtime/walls/netns_egress.h"
#include "runtime/walls/netns_link.h"

namespace mesclun::runtime {

// Answers everything that connects, on TCP port 80 (81 over IPv6) and on port 53 of both kinds.
inline constexpr const char* kWorldServer = R"py(
import socket, socketserver, threading
class Stream(socketserver.BaseRequestHandler):
  def handle(self): self.request.sendall(b'hello')
class Datagram(socketserver.BaseRequestHandler):
  def handle(self):
    told, socket = self.request
    # A question to a name server: every name has the public address.
    address = b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\2'
    answer = told[:2] + b'\x81\x80\0\1\0\1\0\0\0\0' + told[12:] + address
    socket.sendto(b'hello' if len(told) < 12 else answer, self.client_address)
class Tcp(socketserver.ThreadingTCPServer):
  allow_reuse_address = True
class Tcp6(Tcp): address_family = socket.AF_INET6
for port in (53, 80):
  threading.Thread(target=socketserver.UDPServer(('0.0.0.0', port), Datagram).serve_forever).start()
  threading.Thread(target=Tcp(('0.0.0.0', port), Stream).serve_forever).start()
threading.Thread(target=Tcp6(('::', 81), Stream).serve_forever).start()
)py";

inline constexpr const char* kPrivateAddresses[] = {"10.99.0.2",  "172.16.5.2",    "192.168.77.2",
                                                    "100.64.7.2", "169.254.170.2", "192.0.0.9",
                                                    "198.18.0.2"};
inline constexpr const char* kPublicAddress = "203.0.113.2";
// Of that server too, at port 81.
inline constexpr const char* kIpv6Addresses[] = {"fd00:77::2", "2001:db8:77::2"};
// A private one, as with most machines; at port 53 it answers.
inline constexpr const char* kNameServer = "192.168.77.2";

// The calling thread is in that machine as long as this lives. Needs root, nft, ip and python3.
class EgressWorld {
 public:
  EgressWorld() {
    if (::geteuid() != 0 || run("nft --version") != 0) return;
    for (const char* kind : {"net", "mnt"}) {
      before_.emplace_back(
          ::open(fmt::format("/proc/thread-self/ns/{}", kind).c_str(), O_RDONLY | O_CLOEXEC));
    }
    where_ = std::filesystem::current_path();
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return;
    entered_ = true;
    world_ = ::fork();
    if (world_ == 0) {
      ::unshare(CLONE_NEWNET);
      ::execlp("python3", "python3", "-c", kWorldServer, nullptr);
      ::_exit(127);
    }
    possible_ = set_up();
  }
  EgressWorld(const EgressWorld&) = delete;
  EgressWorld& operator=(const EgressWorld&) = delete;
  ~EgressWorld() {
    if (world_ > 0) {
      ::kill(world_, SIGKILL);
      ::waitpid(world_, nullptr, 0);
    }
    if (!entered_) return;
    ::setns(before_[0].get(), CLONE_NEWNET);
    ::setns(before_[1].get(), CLONE_NEWNS);
    std::filesystem::current_path(where_);
  }

  bool possible() const { return possible_; }

 private:
  static int run(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str());
  }

  bool set_up() {
    const std::string inside = fmt::format("nsenter --net=/proc/{}/ns/net ", world_);
    // The child is in its own network a moment later.
    for (int i = 0; i < 100 && run(inside + "ip link show wire") != 0; ++i) {
      run("ip link delete wire");
      run(fmt::format("ip link add wire type veth peer name wire netns {}", world_));
    }
    bool done = run("ip link set lo up") == 0 && run("ip link set wire up") == 0 &&
                run(inside + "ip link set wire up") == 0;
    std::vector<std::string> addresses(std::begin(kPrivateAddresses), std::end(kPrivateAddresses));
    addresses.emplace_back(kPublicAddress);
    for (const std::string& address : addresses) {
      const std::string ours = address.substr(0, address.rfind('.')) + ".1";
      done &= run(fmt::format("ip address add {}/24 dev wire", ours)) == 0;
      done &= run(inside + fmt::format("ip address add {}/24 dev wire", address)) == 0;
    }
    for (const std::string address : kIpv6Addresses) {
      const std::string ours = address.substr(0, address.size() - 1) + "1";
      run(fmt::format("ip address add {}/64 dev wire nodad", ours));
      run(inside + fmt::format("ip address add {}/64 dev wire nodad", address));
    }
    // The last of its sockets is there.
    done &= run("bash -c 'for i in {1..300}; do (</dev/tcp/203.0.113.2/80) && exit 0; "
                "sleep 0.1; done; exit 1'") == 0;
    const std::string servers = folder_.path("resolv.conf");
    done &= replace_file(servers, fmt::format("nameserver {}\n", kNameServer),
                         Durability::ProcessCrash, 0644)
                .has_value();
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    return done && ::mount(servers.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0;
  }

  const TestFolder folder_;
  std::vector<Descriptor> before_;
  std::filesystem::path where_;
  bool entered_ = false;
  bool possible_ = false;
  pid_t world_ = 0;
};

// Says hello to whoever comes.
inline Task<Result<>> greet(Listener& listener, Clock& clock) {
  while (true) {
    CO_TRY(const ConnPtr conn, co_await listener.accept(clock));
    char question = 0;
    CO_TRY_DO(co_await conn->read_some(asio::buffer(&question, 1)));
    CO_TRY_DO(co_await conn->write("hello"));
  }
}

// The machine's end of a run's pair, as the run names it; empty: not there yet.
inline std::string link_local_of_pair() {
  const std::string all = read_file("/proc/self/net/if_inet6").value_or("");
  std::istringstream lines(all);
  std::string address, index, prefix, scope, flags, name;
  while (lines >> address >> index >> prefix >> scope >> flags >> name) {
    if (!name.starts_with("msc") || !address.starts_with("fe80")) continue;
    for (size_t at = 4; at < address.size(); at += 5) address.insert(at, ":");
    return address + "%eth0";
  }
  return "";
}

}  // namespace mesclun::runtime
