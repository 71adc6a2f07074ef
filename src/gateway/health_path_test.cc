// Health on the port of the clients, for who balances between gateways.
#include "gateway/test_world.h"

namespace mesclun::gateway {
namespace {

struct World : EchoWorld {
  explicit World(GatewaySettings settings) : EchoWorld(make_route(1), std::move(settings)) {}
};

Task<Result<>> health_of(TestWorld& world) {
  for (const std::string host : {"192.0.2.1", "g.example"}) {
    CO_TRY(const std::string probe, co_await get_status(world, host, "/healthz?verbose"));
    EXPECT_EQ(probe, "200 ") << host;
    CO_TRY(const std::string other, co_await get_status(world, "192.0.2.1", "/healthz/x"));
    EXPECT_EQ(other, "404 unknown_host");
  }
  EXPECT_EQ(world.connects, 0u);
  // A connection carries probes and requests.
  const ConnPtr conn = world.connect();
  bool keep_alive = false;
  for (const std::string target : {"/healthz", "/", "/healthz"}) {
    HttpCall get{.target = target};
    CO_TRY(const HttpReply reply,
           co_await http_call(*conn, std::move(get), "g.example", 1 << 20, keep_alive));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body == "ok\n", target == "/healthz");
    EXPECT_TRUE(keep_alive);
  }
  HttpCall head{.method = "HEAD", .target = "/healthz"};
  CO_TRY(const HttpReply bare, co_await call(world, std::move(head)));
  EXPECT_EQ(bare.status, 200);
  EXPECT_EQ(bare.body, "");
  // With a body that is not read the connection is of no further use.
  HttpCall post{.method = "POST", .target = "/healthz", .body = std::string(100'000, 'x')};
  CO_TRY(const HttpReply posted, co_await call(world, std::move(post)));
  EXPECT_EQ(posted.status, 200);
  co_return Result<>();
}

GatewaySettings with_health(size_t connections_max) {
  GatewaySettings settings;
  settings.proxy.health_path = "/healthz";
  settings.proxy.connections_max = connections_max;
  return settings;
}

TEST(Proxy, HealthHasAPathByASetting) {
  World world(with_health(100));
  world.run(health_of(world));
  World without({});
  const auto off = [](TestWorld& w) -> Task<Result<>> {
    CO_TRY(const std::string status, co_await get_status(w, "192.0.2.1", "/healthz"));
    EXPECT_EQ(status, "404 unknown_host");
    co_return Result<>();
  };
  without.run(off(without));
}

TEST(Proxy, HealthIs503BeforeTheFirstRoutes) {
  TestWorld world(with_health(100));
  const auto early = [](TestWorld& w) -> Task<Result<>> {
    CO_TRY(const std::string status, co_await get_status(w, "192.0.2.1", "/healthz"));
    EXPECT_EQ(status, "503 starting");
    co_return Result<>();
  };
  world.run(early(world));
}

Task<Result<>> probe_a_full_gateway(TestWorld& world) {
  std::vector<ConnPtr> busy;
  for (int i = 0; i < 2; ++i) {
    busy.push_back(world.connect());
    CO_TRY_DO(co_await busy.back()->write("GET / HTTP/1.1\r\n"));
  }
  CO_TRY_DO(co_await world.clock.sleep_for(1ms));
  CO_TRY(const std::string other, co_await get_status(world, "g.example"));
  EXPECT_EQ(other, "503 too_many_connections");
  // Who connects and says nothing, or only half of it, is in nobody's way.
  std::vector<ConnPtr> beyond;
  for (size_t i = 0; i < 3 * BriefRoom::kPlaces; ++i) {
    beyond.push_back(world.connect());
    if (i % 2 == 0) CO_TRY_DO(co_await beyond.back()->write("GET /healthz HT"));
  }
  const TimePoint before = world.clock.now();
  CO_TRY(const std::string health, co_await get_status(world, "192.0.2.1", "/healthz"));
  EXPECT_EQ(health, "200 ");
  EXPECT_EQ(world.clock.now(), before);
  CO_TRY_DO(co_await world.clock.sleep_for(5s));
  EXPECT_LE(world.gateway.proxy().scope().running(), 4u) << "only the busy ones are left";
  co_return Result<>();
}

TEST(Proxy, HealthHasRoomOfItsOwn) {
  World world(with_health(2));
  world.run(probe_a_full_gateway(world));
}

}  // namespace
}  // namespace mesclun::gateway
