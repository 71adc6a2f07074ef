// What a run reaches of the world. The machine here is a network namespace of the test's own: it has
// a wire to another namespace, where one server has a public address and many private ones.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <filesystem>
#include <sstream>

#include "http/server.h"
#include "runtime/process/process_driver_test_kit.h"
#include "runtime/walls/netns_egress.h"
#include "runtime/walls/netns_link.h"

namespace mesclun::runtime {
namespace {

// Answers everything that connects, on TCP port 80 and on port 53 of both kinds.
constexpr const char* kServer = R"py(
import socket, socketserver, threading
class Stream(socketserver.BaseRequestHandler):
  def handle(self): self.request.sendall(b'hello')
class Datagram(socketserver.BaseRequestHandler):
  def handle(self): self.request[1].sendto(b'hello', self.client_address)
class Tcp(socketserver.ThreadingTCPServer):
  allow_reuse_address = True
for port in (53, 80):
  threading.Thread(target=socketserver.UDPServer(('0.0.0.0', port), Datagram).serve_forever).start()
  threading.Thread(target=Tcp(('0.0.0.0', port), Stream).serve_forever).start()
)py";

// Exits with 0 if it hears the server.
constexpr const char* kClient = R"py(
import socket, sys
kind, address, port = sys.argv[1:]
where = socket.getaddrinfo(address, int(port), type=socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM)[0]
s = socket.socket(where[0], where[1])
s.settimeout(3)
s.connect(where[4])
s.send(b'?')
sys.exit(0 if s.recv(100) == b'hello' else 1)
)py";

constexpr const char* kPrivate[] = {"10.99.0.2",     "172.16.5.2", "192.168.77.2", "100.64.7.2",
                                    "169.254.170.2", "192.0.0.9",  "198.18.0.2"};

int machine(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str());
}

class EgressTest : public ProcessDriverTest {
 public:
  EgressTest() {
    if (::geteuid() != 0 || machine("nft --version") != 0) return;
    for (const char* kind : {"net", "mnt"}) {
      before_.emplace_back(
          ::open(fmt::format("/proc/thread-self/ns/{}", kind).c_str(), O_RDONLY | O_CLOEXEC));
    }
    folder_ = std::filesystem::current_path();
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return;
    entered_ = true;
    world_ = ::fork();
    if (world_ == 0) {
      ::unshare(CLONE_NEWNET);
      ::execlp("python3", "python3", "-c", kServer, nullptr);
      ::_exit(127);
    }
    settings.use_egress = true;
    possible = set_up();
  }
  ~EgressTest() override {
    if (world_ > 0) {
      ::kill(world_, SIGKILL);
      ::waitpid(world_, nullptr, 0);
    }
    if (!entered_) return;
    ::setns(before_[0].get(), CLONE_NEWNET);
    ::setns(before_[1].get(), CLONE_NEWNS);
    std::filesystem::current_path(folder_);
  }

  bool possible = false;

 private:
  bool set_up() {
    const std::string inside = fmt::format("nsenter --net=/proc/{}/ns/net ", world_);
    // The child is in its own network a moment later.
    for (int i = 0; i < 100 && machine(inside + "ip link show wire") != 0; ++i) {
      machine("ip link delete wire");
      machine(fmt::format("ip link add wire type veth peer name wire netns {}", world_));
    }
    bool done = machine("ip link set lo up") == 0 && machine("ip link set wire up") == 0 &&
                machine(inside + "ip link set wire up") == 0;
    std::vector<std::string> addresses(std::begin(kPrivate), std::end(kPrivate));
    addresses.emplace_back("203.0.113.2");
    for (const std::string& address : addresses) {
      const std::string ours = address.substr(0, address.rfind('.')) + ".1";
      done &= machine(fmt::format("ip address add {}/24 dev wire", ours)) == 0;
      done &= machine(inside + fmt::format("ip address add {}/24 dev wire", address)) == 0;
    }
    // The last of its sockets is there.
    done &= machine(
                "bash -c 'for i in {1..300}; do (</dev/tcp/203.0.113.2/80) && exit 0; "
                "sleep 0.1; done; exit 1'") == 0;
    // Its name server is a private one, as with most machines.
    const std::string servers = folder.path("resolv.conf");
    done &= replace_file(servers, "nameserver 192.168.77.2\n", Durability::ProcessCrash, 0644)
                .has_value();
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    return done && ::mount(servers.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0;
  }

  std::vector<Descriptor> before_;
  std::filesystem::path folder_;
  bool entered_ = false;
  pid_t world_ = 0;
};

class Inside {
 public:
  Inside(ProcessDriver& driver, std::string id) : driver_(driver), id_(std::move(id)) {}
  Task<bool> reaches(std::string kind, std::string address, uint16_t port) {
    const Result<int32_t> status = co_await driver_.exec(
        id_, {"python3", "-c", kClient, kind, address, std::to_string(port)}, kSoon);
    co_return status && *status == 0;
  }

 private:
  ProcessDriver& driver_;
  std::string id_;
};

// Says hello to whoever comes.
Task<Result<>> greet(Listener& listener, Clock& clock) {
  while (true) {
    CO_TRY(const ConnPtr conn, co_await listener.accept(clock));
    char question = 0;
    CO_TRY_DO(co_await conn->read_some(asio::buffer(&question, 1)));
    CO_TRY_DO(co_await conn->write("hello"));
  }
}

std::string link_local_of_pair() {
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

Task<Result<>> look_from_inside(ProcessDriverTest& test, ProcessDriver& driver) {
  auto& t = static_cast<EgressTest&>(test);
  for (const std::string& warning : driver.facts().warnings) {
    EXPECT_EQ(warning.find("do not reach other machines"), std::string::npos) << warning;
  }
  // The machine listens everywhere, and so would any service of its owner.
  CO_TRY(Listener v4, Listener::bind(t.loop.executor(), {.host = "0.0.0.0"}));
  CO_TRY(Listener v6, Listener::bind(t.loop.executor(), {.host = "::"}));
  const uint16_t port4 = v4.endpoint().port;
  const uint16_t port6 = v6.endpoint().port;
  Scope servers(t.loop.executor(), "servers of the machine");
  servers.spawn(greet(v4, t.loop.clock));
  servers.spawn(greet(v6, t.loop.clock));

  RunSpec idle = t.spec({"sleep", "1000"});
  const std::string id = idle.instance_id;
  CO_TRY_DO(co_await driver.create(idle));
  CO_TRY(std::optional<Listener> metadata, driver.metadata_listener(id));
  EXPECT_TRUE(metadata);
  servers.spawn(greet(*metadata, t.loop.clock));
  CO_TRY_DO(co_await driver.start(id));
  Inside inside(driver, id);

  EXPECT_TRUE(co_await inside.reaches("tcp", "203.0.113.2", 80)) << "the world";
  EXPECT_TRUE(co_await inside.reaches("udp", "203.0.113.2", 80));
  EXPECT_TRUE(co_await inside.reaches("udp", "192.168.77.2", 53)) << "the name server";
  EXPECT_TRUE(co_await inside.reaches("tcp", "192.168.77.2", 53));
  EXPECT_TRUE(co_await inside.reaches("tcp", "169.254.169.254", 80)) << "our metadata service";
  for (const char* address : kPrivate) {
    EXPECT_FALSE(co_await inside.reaches("tcp", address, 80)) << address;
  }
  EXPECT_FALSE(co_await inside.reaches("udp", "10.99.0.2", 53)) << "no name server of ours";
  // The machine's own, at its public address, its private ones and its end of the pair.
  for (const char* address : {"203.0.113.1", "192.168.77.1", "169.254.170.1"}) {
    EXPECT_FALSE(co_await inside.reaches("tcp", address, port4)) << address;
  }
  for (int number = 0; number < 16384; ++number) {
    const EgressAddresses pair = egress_addresses(number);
    if (!link_index(pair.interface)) continue;
    EXPECT_FALSE(co_await inside.reaches("tcp", pair.machine, port4)) << pair.machine;
    break;
  }
  std::string near = link_local_of_pair();
  // The kernel tries the address for a second before it has it.
  for (int i = 0; i < 50 && near.empty(); ++i) {
    CO_TRY_DO(co_await t.loop.clock.sleep_for(100ms));
    near = link_local_of_pair();
  }
  EXPECT_NE(near, "");
  EXPECT_FALSE(co_await inside.reaches("tcp", near, port6)) << near;
  co_await servers.stop();
  co_return Result<>();
}

TEST_F(EgressTest, TheWorldIsOpenAndWhatIsPrivateIsClosed) {
  if (!possible) GTEST_SKIP() << "needs root, nft and ip";
  with_driver(look_from_inside);
}

}  // namespace
}  // namespace mesclun::runtime
