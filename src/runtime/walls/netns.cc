#include "runtime/walls/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cstring>

#include "runtime/walls/netns_link.h"

namespace mesclun::runtime {

namespace {

// The same user as outside, and no other.
Result<> enter_user_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) return system_error("no user namespace");
  TRY_DO(write_into("/proc/self/setgroups", "deny"));
  TRY_DO(write_into("/proc/self/uid_map", fmt::format("{} {} 1", uid, uid)));
  TRY_DO(write_into("/proc/self/gid_map", fmt::format("{} {} 1", gid, gid)));
  return {};
}

Result<> set_up_loopback() {
  TRY_DO(set_link_up(kLoopback));
  return add_address(kLoopback, kMetadataAddress, 32);
}

// Shared memory of its own: bounded, and gone with the run.
Result<> mount_shared_memory(int64_t bytes) {
  const std::string options = fmt::format("mode=1777,size={}", bytes);
  if (::mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return system_error("cannot mount /dev/shm");
  }
  return {};
}

}  // namespace

Result<> enter_isolation(Isolation isolation, const std::string& hostname,
                         int64_t shared_memory_bytes) {
  if (isolation.user) TRY_DO(enter_user_namespace());
  if (isolation.network) {
    if (::unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) != 0) {
      return system_error("no network namespace");
    }
    TRY_DO(set_up_loopback());
    const std::string name = hostname.substr(0, 64);
    if (::sethostname(name.data(), name.size()) != 0) return system_error("cannot set host name");
  }
  if (isolation.processes) {
    if (::unshare(CLONE_NEWNS | CLONE_NEWPID) != 0) return system_error("no process namespace");
    // Mounts of the machine still come and go in here, ours stay in here.
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
      return system_error("cannot separate mounts");
    }
    TRY_DO(mount_shared_memory(shared_memory_bytes));
  }
  return {};
}

void run_init(Descriptor lifeline, Descriptor ready) {
  ::prctl(PR_SET_NAME, "mesclun-init");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The kernel collects children of a process that ignores SIGCHLD.
  ::signal(SIGCHLD, SIG_IGN);
  std::string answer = "+";
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    answer = std::string("cannot mount /proc: ") + std::strerror(errno);
  }
  const bool told = ::write(ready.get(), answer.data(), answer.size()) > 0;
  ready.reset();
  char byte = 0;
  while (told && answer == "+") {
    const ssize_t n = ::read(lifeline.get(), &byte, 1);
    if (n == 0 || (n < 0 && errno != EINTR)) break;
  }
  ::_exit(0);
}

Result<Descriptor> listen_tcp(const char* address, uint16_t port) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error("no TCP socket");
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  ::inet_pton(AF_INET, address, &where.sin_addr);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 ||
      ::listen(socket.get(), 128) != 0) {
    return system_error(fmt::format("cannot listen on {}:{}", address, port));
  }
  return socket;
}

uint16_t local_port(int descriptor) {
  sockaddr_in where{};
  socklen_t size = sizeof where;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&where), &size);
  return ntohs(where.sin_port);
}

}  // namespace mesclun::runtime
