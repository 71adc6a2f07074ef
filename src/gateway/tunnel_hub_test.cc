// Tunnels coming, going, falling silent; and how they are let in.
#include <unistd.h>

#include "gateway/test_world.h"
#include "http/client.h"
#include "link/ticket.h"
#include "link/upgrade.h"

namespace mesclun::gateway {
namespace {

struct World : EchoWorld {
  World() : EchoWorld(make_route(2)) {}
};

Task<Result<>> after_break(TestWorld& world) {
  world.node_tunnel("m1").close();
  // Nothing waits, nothing is told: every request from now on is served by the other.
  for (int i = 0; i < 10; ++i) {
    CO_TRY(const std::string status, co_await get_status(world, "g.example"));
    EXPECT_EQ(status, "200 ");
  }
  EXPECT_EQ(world.gateway.hub().tunnels(), 1u);
  world.node_tunnel("m2").close();
  CO_TRY_DO(co_await world.clock.sleep_for(1ms));
  CO_TRY(const std::string none, co_await get_status(world, "g.example"));
  EXPECT_EQ(none, "503 no_tunnel");
  world.add_node("m1");
  CO_TRY(const std::string back, co_await get_status(world, "g.example"));
  EXPECT_EQ(back, "200 ");
  co_return Result<>();
}

TEST(TunnelHub, ABrokenTunnelLeavesRotationAtOnce) {
  World world;
  world.run(after_break(world));
}

Task<Result<>> in_flight_break(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write("GET / HTTP/1.1\r\nHost: g.example\r\n\r\n"));
  CO_TRY_DO(co_await world.clock.sleep_for(1s));
  const TimePoint before = world.clock.now();
  world.node_tunnel("m1").close();
  CO_TRY(const std::string answer, co_await read_until(*conn, "\r\n\r\n"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 ")) << answer;
  EXPECT_EQ(world.clock.now(), before);
  co_return Result<>();
}

Task<Result<>> hang(ConnPtr conn, Clock& clock) {
  CO_TRY_DO(co_await clock.sleep_for(1h));
  conn->close();
  co_return Result<>();
}

TEST(TunnelHub, RequestsInABrokenTunnelFailAtOnce) {
  TestWorld world;
  world.add_node("m1");
  world.set_app("i1", [&](ConnPtr conn) { return hang(std::move(conn), world.clock); });
  world.set_routes({make_route(1)});
  world.run(in_flight_break(world));
}

// A node that takes bytes and never says a thing.
Task<Result<>> swallow(ConnPtr conn) {
  char buffer[4096];
  while (true) {
    CO_TRY(const size_t n, co_await conn->read_some(asio::buffer(buffer)));
    if (n == 0) co_return Result<>();
  }
}

Task<Result<>> silence(TestWorld& world, ConnPtr node) {
  world.spawn(swallow(std::move(node)));
  const Group& group = world.group("g.example");
  CO_TRY_DO(co_await world.clock.sleep_for(790ms));
  EXPECT_FALSE(group.instances()[1]->node->suspect());
  CO_TRY_DO(co_await world.clock.sleep_for(10ms));
  EXPECT_TRUE(group.instances()[1]->node->suspect());
  for (int i = 0; i < 10; ++i) {
    CO_TRY(const std::string status, co_await get_status(world, "g.example"));
    EXPECT_EQ(status, "200 ") << "all go to the other";
  }
  CO_TRY_DO(co_await world.clock.sleep_for(10s));
  EXPECT_FALSE(group.instances()[1]->node->up());
  co_return Result<>();
}

TEST(TunnelHub, ASilentNodeTakesNoRequestsAfter800Ms) {
  TestWorld world;
  world.add_node("m1");
  world.set_app("i1", echo_app(world.clock));
  world.set_routes({make_route(2)});
  auto [node, ours] = memory_conn_pair(world.loop.executor(), world.loop.clock);
  world.gateway.hub().add("m2", std::move(ours));
  world.run(silence(world, std::move(node)));
}

Task<Result<>> newest(TestWorld& world) {
  for (int i = 0; i < 10; ++i) world.add_node("m1");
  CO_TRY_DO(co_await world.clock.sleep_for(100ms));
  EXPECT_EQ(world.gateway.hub().node("m1")->tunnels.size(), 4u) << "older ones are let go";
  EXPECT_EQ(world.gateway.hub().tunnels(), 5u);
  CO_TRY(const std::string status, co_await get_status(world, "g.example"));
  EXPECT_EQ(status, "200 ");
  co_return Result<>();
}

TEST(TunnelHub, ANodeThatDialsAgainKeepsAFewTunnels) {
  World world;
  world.run(newest(world));
}

// ---- over real sockets ----

struct Real {
  RealLoop loop;
  SeededRandom random{1};
  NoCloud cloud;
  Gateway gateway{loop.executor(), loop.clock, random, {}, cloud};

  Real() {
    link::RouteUpdate update;
    update.complete = true;
    update.tunnel_secret = "secret";
    gateway.table().apply(std::move(update));
  }
};

Task<Result<>> tickets(Real& real) {
  const auto executor = co_await asio::this_coro::executor;
  const Endpoint any{.host = "127.0.0.1"};
  CO_TRY(Listener listener, Listener::bind(executor, any));
  const Endpoint where = listener.endpoint();
  real.gateway.serve_tunnels(std::move(listener));
  Clock& clock = real.loop.clock;
  const int64_t now = to_unix_seconds(clock.wall_now());
  const auto forged = co_await link::dial_upgrade(where, clock, link::kTunnelUpgrade,
                                                  link::make_tunnel_ticket("x", "m1", now + 60));
  EXPECT_EQ(forged.code(), ErrorCode::Unauthenticated);
  const auto late = co_await link::dial_upgrade(where, clock, link::kTunnelUpgrade,
                                                link::make_tunnel_ticket("secret", "m1", now - 60));
  EXPECT_EQ(late.code(), ErrorCode::Unauthenticated);
  const auto none = co_await link::dial_upgrade(where, clock, link::kTunnelUpgrade, "");
  EXPECT_EQ(none.code(), ErrorCode::Unauthenticated);
  EXPECT_EQ(real.gateway.hub().tunnels(), 0u);
  CO_TRY(const ConnPtr conn,
         co_await link::dial_upgrade(where, clock, link::kTunnelUpgrade,
                                     link::make_tunnel_ticket("secret", "m1", now + 60)));
  EXPECT_EQ(real.gateway.hub().tunnels(), 1u);
  EXPECT_TRUE(real.gateway.hub().node("m1")->up());
  co_await real.gateway.stop();
  co_return Result<>();
}

TEST(TunnelHub, LetsInOnlyNodesWithATicket) {
  Real real;
  real.loop.run(tickets(real));
}

Task<Result<>> hand_over(Real& real) {
  const auto executor = co_await asio::this_coro::executor;
  const Endpoint any{.host = "127.0.0.1"};
  CO_TRY(Listener listener, Listener::bind(executor, any));
  CO_TRY(ConnPtr node, co_await dial(listener.endpoint(), real.loop.clock, 5s));
  CO_TRY(ConnPtr taken, co_await listener.accept(real.loop.clock));
  // A ping that the other loop had read already, and one that it had not.
  std::string ping;
  link::append_frame(link::FrameType::Ping, 0, {}, ping);
  CO_TRY_DO(co_await node->write(ping));
  real.gateway.adopt_tunnel(taken->release_descriptor(), "m1", ping);
  std::string pongs(2 * link::kFrameHeadBytes, ' ');
  CO_TRY_DO(co_await read_exactly(*node, asio::buffer(pongs)));
  EXPECT_EQ(pongs[3], static_cast<char>(link::FrameType::Pong));
  EXPECT_TRUE(real.gateway.hub().node("m1")->up());
  real.gateway.adopt_tunnel(::dup(0), "m2", "");  // no socket: refused, not fatal
  EXPECT_FALSE(real.gateway.hub().node("m2")->up());
  co_await real.gateway.stop();
  co_return Result<>();
}

TEST(TunnelHub, AdoptsAConnectionThatAnotherLoopAccepted) {
  Real real;
  real.loop.run(hand_over(real));
}

}  // namespace
}  // namespace mesclun::gateway
