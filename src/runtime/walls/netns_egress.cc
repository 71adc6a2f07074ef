#include "runtime/walls/netns_egress.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "base/file.h"
#include "runtime/walls/netns_link.h"

namespace mesclun::runtime {

namespace {

constexpr int kNumbers = 16384;
constexpr int kTries = 256;
constexpr size_t kNameServersMax = 16;
constexpr const char* kForwarding = "/proc/sys/net/ipv4/ip_forward";

// Replaced as a whole, so that it is right whatever was there. A run reaches the world and the name
// servers, no other run, nothing private, and nothing that the machine itself listens for, at
// whatever address; nobody begins a connection to a run. What is not ours passes as it did.
constexpr std::string_view kRules = R"(
add table ip mesclun
delete table ip mesclun
add table inet mesclun
delete table inet mesclun
table ip mesclun {
  chain postrouting {
    type nat hook postrouting priority 100;
    ip saddr 10.213.0.0/16 oifname != "msc*" masquerade
  }
}
table inet mesclun {
  set private4 {
    type ipv4_addr
    flags interval
    elements = { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12,
                 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3 }
  }
  set public6 {
    type ipv6_addr
    flags interval
    elements = { 2000::/3 }
  }
  set resolvers {
    type ipv4_addr
  }
  chain input {
    type filter hook input priority -10;
    iifname "msc*" meta l4proto { tcp, udp } th dport 53 ip daddr @resolvers accept
    iifname "msc*" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    iifname "msc*" reject with icmpx type admin-prohibited
  }
  chain forward {
    type filter hook forward priority -10;
    iifname "msc*" oifname "msc*" reject with icmpx type admin-prohibited
    iifname "msc*" ct state established,related accept
    iifname "msc*" meta l4proto { tcp, udp } th dport 53 ip daddr @resolvers accept
    iifname "msc*" ip daddr @private4 reject with icmpx type admin-prohibited
    iifname "msc*" ip6 daddr != @public6 reject with icmpx type admin-prohibited
    oifname "msc*" ct state != { established, related } drop
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

constexpr const char* kNameServers = "/etc/resolv.conf";
// systemd-resolved listens on loopback, and lists here those that it asks.
constexpr const char* kNameServersBehind = "/run/systemd/resolve/resolv.conf";

// A name server on the machine's loopback cannot be reached from inside.
bool uses_those_behind() {
  const std::string used = read_file(kNameServers).value_or("");
  return used.find("nameserver 127.") != std::string::npos &&
         ::access(kNameServersBehind, R_OK) == 0;
}

Result<> use_reachable_name_servers() {
  if (!uses_those_behind()) return {};
  if (::mount(kNameServersBehind, kNameServers, nullptr, MS_BIND, nullptr) != 0) {
    return system_error("cannot replace /etc/resolv.conf");
  }
  return {};
}

// They are often private. Networks change while an agent runs, so each run looks again.
Result<> let_name_servers_through() {
  std::string rules = "flush set inet mesclun resolvers\n";
  for (const std::string& address : reachable_name_servers()) {
    rules += fmt::format("add element inet mesclun resolvers {{ {} }}\n", address);
  }
  return run_nft(rules);
}

}  // namespace

std::vector<std::string> name_servers(std::string_view resolv_conf) {
  std::vector<std::string> found;
  std::istringstream lines{std::string(resolv_conf)};
  std::string line;
  while (std::getline(lines, line) && found.size() < kNameServersMax) {
    std::istringstream words(line);
    std::string word;
    std::string address;
    in_addr parsed{};
    if (!(words >> word >> address) || word != "nameserver") continue;
    if (::inet_pton(AF_INET, address.c_str(), &parsed) != 1) continue;
    if (!address.starts_with("127.")) found.push_back(address);
  }
  return found;
}

std::vector<std::string> reachable_name_servers() {
  const char* used = uses_those_behind() ? kNameServersBehind : kNameServers;
  return name_servers(read_file(used).value_or(""));
}

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
  TRY_DO(let_name_servers_through());
  const Result<std::string> forwarding = read_file(kForwarding);
  if (forwarding && forwarding->starts_with("1")) return {};
  return write_into(kForwarding, "1");
}

Result<EgressAddresses> attach_egress(const std::string& instance_id, pid_t process) {
  TRY_DO(let_name_servers_through());
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
