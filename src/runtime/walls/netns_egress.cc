#include "runtime/walls/netns_egress.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/walls/netns_link.h"

namespace mesclun::runtime {

namespace {

constexpr int kNumbers = 16384;
constexpr int kTries = 256;
constexpr const char* kForwarding = "/proc/sys/net/ipv4/ip_forward";

// Replaced as a whole, so that it is right whatever was there. Runs do not reach each other.
constexpr std::string_view kRules = R"(
add table ip mesclun
delete table ip mesclun
table ip mesclun {
  chain postrouting {
    type nat hook postrouting priority 100;
    ip saddr 10.213.0.0/16 oifname != "msc*" masquerade
  }
  chain forward {
    type filter hook forward priority 0;
    iifname "msc*" oifname "msc*" drop
  }
}
)";

Result<> run_nft(std::string_view rules) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("no pipe");
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, reading.get(), 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  char name[] = "nft";
  char file[] = "-f";
  char input[] = "-";
  char* arguments[] = {name, file, input, nullptr};
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* environment[] = {path, nullptr};
  pid_t pid = 0;
  // Looked up in our own PATH, which may lack the folders of the administrator.
  int error = ENOENT;
  for (const char* program : {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"}) {
    error = ::posix_spawn(&pid, program, &actions, nullptr, arguments, environment);
    if (error != ENOENT) break;
  }
  ::posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) {
    return Error::unavailable(
        "nft is missing: apt-get install nftables, then start the agent again");
  }
  errno = error;
  if (error != 0) return system_error("cannot run nft");
  // Less than a pipe holds.
  const bool written =
      ::write(writing.get(), rules.data(), rules.size()) == static_cast<ssize_t>(rules.size());
  writing.reset();
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!written || status != 0) return Error::unavailable("nft refuses our rules");
  return {};
}

// A name server on the machine's loopback cannot be reached from inside; systemd-resolved keeps the
// list of those behind it.
Result<> use_reachable_name_servers() {
  constexpr const char* kBehind = "/run/systemd/resolve/resolv.conf";
  const std::string used = read_file("/etc/resolv.conf").value_or("");
  if (used.find("nameserver 127.") == std::string::npos || ::access(kBehind, R_OK) != 0) return {};
  if (::mount(kBehind, "/etc/resolv.conf", nullptr, MS_BIND, nullptr) != 0) {
    return system_error("cannot replace /etc/resolv.conf");
  }
  return {};
}

}  // namespace

EgressAddresses egress_addresses(int number) {
  const int high = number / 64;
  const int low = number % 64 * 4;
  return {.interface = fmt::format("msc{}", number),
          .machine = fmt::format("10.213.{}.{}", high, low + 1),
          .run = fmt::format("10.213.{}.{}", high, low + 2)};
}

Result<> prepare_egress() {
  if (::geteuid() != 0) return Error::unavailable("needs root");
  TRY_DO(run_nft(kRules));
  const Result<std::string> forwarding = read_file(kForwarding);
  if (forwarding && forwarding->starts_with("1")) return {};
  return write_into(kForwarding, "1");
}

Result<EgressAddresses> attach_egress(const std::string& instance_id, pid_t process) {
  const size_t first = std::hash<std::string>()(instance_id);
  Result<> done;
  for (size_t i = 0; i < kTries; ++i) {
    const EgressAddresses addresses = egress_addresses(static_cast<int>((first + i) % kNumbers));
    done = create_link_pair(addresses.interface, "eth0", process);
    if (!done && done.code() == ErrorCode::AlreadyExists) continue;
    if (!done) break;
    TRY(const int index, link_index(addresses.interface));
    TRY_DO(add_address(index, addresses.machine, kEgressPrefixLength));
    TRY_DO(set_link_up(index));
    return addresses;
  }
  return done.error();
}

Result<> enter_egress(const std::string& address, const std::string& gateway, bool own_mounts) {
  TRY(const int index, link_index("eth0"));
  TRY_DO(add_address(index, address, kEgressPrefixLength));
  TRY_DO(set_link_up(index));
  TRY_DO(add_default_route(gateway));
  return own_mounts ? use_reachable_name_servers() : Result<>();
}

}  // namespace mesclun::runtime
