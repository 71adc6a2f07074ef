// Clients between their requests: no task, no buffer, and no request lost.
#include "gateway/test_world.h"

namespace mesclun::gateway {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: g.example\r\n\r\n";

struct World : EchoWorld {
  explicit World(GatewaySettings settings = {}) : EchoWorld(make_route(1), std::move(settings)) {}
  // Both tasks of a client that is not resting.
  size_t tasks() { return gateway.proxy().scope().running(); }
  size_t resting() { return gateway.proxy().resting(); }
};

Task<Result<int>> get(Conn& conn) {
  bool keep_alive = false;
  HttpCall request;
  CO_TRY(const HttpReply reply,
         co_await http_call(conn, std::move(request), "g.example", 1 << 20, keep_alive));
  EXPECT_TRUE(keep_alive);
  co_return reply.status;
}

Task<Result<>> rests_and_wakes(World& world) {
  const ConnPtr client = world.connect();
  EXPECT_EQ(world.resting(), 1u) << "before its first request too";
  for (int i = 0; i < 3; ++i) {
    CO_TRY(const int status, co_await get(*client));
    EXPECT_EQ(status, 200);
    EXPECT_EQ(world.tasks(), 2u) << "the next request may come at once";
    CO_TRY_DO(co_await world.clock.sleep_for(3s));
    EXPECT_EQ(world.tasks(), 0u);
    EXPECT_EQ(world.resting(), 1u);
    EXPECT_EQ(world.gateway.proxy().connections(), 1u);
  }
  EXPECT_EQ(world.group("g.example").stats.requests, 3u);
  co_return Result<>();
}

TEST(IdleClient, RestsWithoutATaskAndIsAnsweredAgain) {
  World world;
  world.run(rests_and_wakes(world));
}

Task<Result<>> drops_bytes(World& world) {
  const ConnPtr client = world.connect();
  CO_TRY_DO(co_await world.clock.sleep_for(5s));
  // Each byte of a head comes alone; the first one wakes.
  for (const char byte : kGet) {
    CO_TRY_DO(co_await client->write(std::string_view(&byte, 1)));
    CO_TRY_DO(co_await world.clock.sleep_for(10ms));
  }
  CO_TRY(const std::string head, co_await read_until(*client, "\r\n\r\n"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 "));
  // A head that comes no further has the time of every head.
  const ConnPtr slow = world.connect();
  CO_TRY_DO(co_await world.clock.sleep_for(5s));
  CO_TRY_DO(co_await slow->write("GET / HT"));
  const TimePoint before = world.clock.now();
  CO_TRY(const std::string answer, co_await read_until(*slow, "\r\n\r\n"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(world.clock.now() - before, 10s);
  co_return Result<>();
}

TEST(IdleClient, IsHeardFromItsFirstByte) {
  World world;
  world.run(drops_bytes(world));
}

Task<Result<>> rests_too_long(World& world) {
  const ConnPtr silent = world.connect();
  const ConnPtr client = world.connect();
  CO_TRY_DO(co_await world.clock.sleep_for(30s));
  CO_TRY(const int status, co_await get(*client));
  EXPECT_EQ(status, 200);
  CO_TRY_DO(co_await world.clock.sleep_for(74s));
  EXPECT_FALSE(silent->is_clean()) << "75 s after it came";
  EXPECT_TRUE(client->is_clean()) << "75 s after its answer, not after it was put to rest";
  CO_TRY_DO(co_await world.clock.sleep_for(2s));
  EXPECT_FALSE(client->is_clean());
  EXPECT_EQ(world.gateway.proxy().connections(), 0u);
  co_return Result<>();
}

TEST(IdleClient, EndsAfterTheIdleTimeout) {
  World world;
  world.run(rests_too_long(world));
}

Task<Result<>> makes_room(World& world) {
  const ConnPtr oldest = world.connect();
  CO_TRY_DO(co_await world.clock.sleep_for(3s));
  const ConnPtr newer = world.connect();
  CO_TRY_DO(co_await world.clock.sleep_for(3s));
  CO_TRY(const int status, co_await get(*world.connect()));
  EXPECT_EQ(status, 200);
  EXPECT_FALSE(oldest->is_clean());
  EXPECT_TRUE(newer->is_clean());
  co_return Result<>();
}

TEST(IdleClient, MakesRoomWhereAllConnectionsAreTaken) {
  GatewaySettings settings;
  settings.proxy.connections_max = 2;
  World world(settings);
  world.run(makes_room(world));
}

Task<Result<>> stops(World& world, bool& stopped) {
  co_await world.gateway.proxy().stop(10s);
  stopped = true;
  co_return Result<>();
}

Task<Result<>> ends_in_order(World& world) {
  const ConnPtr silent = world.connect();
  const ConnPtr speaks = world.connect();
  CO_TRY_DO(co_await world.clock.sleep_for(3s));
  EXPECT_EQ(world.resting(), 2u);
  // On its way when the end begins: nobody has looked at it yet.
  const asio::const_buffer request = asio::buffer(kGet);
  EXPECT_EQ(speaks->write_now(std::span(&request, 1)), kGet.size());
  bool stopped = false;
  Scope scope(world.loop.executor(), "stop");
  scope.spawn(stops(world, stopped));
  CO_TRY(const std::string head, co_await read_until(*speaks, "\r\n\r\n"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 "));
  EXPECT_FALSE(silent->is_clean());
  CO_TRY_DO(co_await world.clock.sleep_for(100ms));
  EXPECT_TRUE(stopped) << "nobody waits for who only rests";
  EXPECT_EQ(world.gateway.proxy().connections(), 0u);
  co_await scope.stop();
  co_return Result<>();
}

TEST(IdleClient, EndsWithTheGatewayUnlessItHasAsked) {
  World world;
  world.run(ends_in_order(world));
}

Task<Result<>> many_rest(World& world) {
  std::vector<ConnPtr> clients;
  for (int i = 0; i < 1'500; ++i) clients.push_back(world.connect());
  for (const ConnPtr& client : clients) {
    CO_TRY(const int status, co_await get(*client));
    EXPECT_EQ(status, 200);
  }
  // A thousand each half second.
  CO_TRY_DO(co_await world.clock.sleep_for(3s));
  EXPECT_EQ(world.tasks(), 0u);
  EXPECT_EQ(world.resting(), 1'500u);
  clients.clear();
  CO_TRY_DO(co_await world.clock.sleep_for(10ms));
  EXPECT_EQ(world.gateway.proxy().connections(), 0u);
  co_return Result<>();
}

TEST(IdleClient, ManyRestLittleByLittle) {
  World world;
  world.run(many_rest(world));
}

}  // namespace
}  // namespace mesclun::gateway
