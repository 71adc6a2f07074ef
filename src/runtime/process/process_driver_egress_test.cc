// What a run reaches of the world (walls/egress_test_kit.h).
#include "http/server.h"
#include "runtime/process/process_driver_test_kit.h"
#include "runtime/walls/egress_test_kit.h"

namespace mesclun::runtime {
namespace {

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

class EgressTest : public ProcessDriverTest {
 public:
  EgressTest() { settings.use_egress = true; }

  EgressWorld world;
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

Task<Result<>> look_from_inside(ProcessDriverTest& test, ProcessDriver& driver) {
  ProcessDriverTest& t = test;
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
  for (const char* address : kPrivateAddresses) {
    EXPECT_FALSE(co_await inside.reaches("tcp", address, 80)) << address;
  }
  for (const char* address : kIpv6Addresses) {
    EXPECT_FALSE(co_await inside.reaches("tcp", address, 81)) << address;
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
  if (!world.possible()) GTEST_SKIP() << "needs root, nft and ip";
  with_driver(look_from_inside);
}

}  // namespace
}  // namespace mesclun::runtime
