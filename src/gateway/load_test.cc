// Much data, and much trouble: memory stays bounded and every count returns to zero.
#include "gateway/test_world.h"

#include <fmt/format.h>

namespace mesclun::gateway {
namespace {

constexpr size_t kPiece = 64 * 1024;
constexpr size_t kPieces = 3200;  // 200 MiB

// Bytes that the gateway and both ends of the tunnel hold, at their most.
struct Watermark {
  TestWorld* world = nullptr;
  size_t bytes = 0;
  void look() {
    size_t now = world->node_tunnel("m1").buffered_bytes();
    if (const auto tunnel = world->gateway.hub().node("m1")->tunnel()) {
      now += tunnel->buffered_bytes();
    }
    bytes = std::max(bytes, now);
  }
};

// Answers a request with its own body, as it comes, and the other way round: reads on while it
// writes.
Task<Result<>> mirror_app(ConnPtr conn) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await conn->write(
      fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", kPiece * kPieces)));
  std::vector<char> buffer(kPiece);
  for (size_t left = kPiece * kPieces; left > 0;) {
    CO_TRY(const size_t n, co_await conn->read_some(asio::buffer(buffer)));
    if (n == 0) co_return Error::unavailable("the body ended early");
    CO_TRY_DO(co_await conn->write(std::string_view(buffer.data(), n)));
    left -= n;
  }
  co_return Result<>();
}

Task<Result<>> send_body(Conn& conn) {
  std::string piece(kPiece, ' ');
  for (size_t i = 0; i < kPieces; ++i) {
    piece.replace(0, 8, fmt::format("{:08}", i));
    CO_TRY_DO(co_await conn.write(piece));
  }
  co_return Result<>();
}

Task<Result<>> stream_both_ways(TestWorld& world, Watermark& most) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(fmt::format(
      "POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: {}\r\n\r\n", kPiece * kPieces)));
  world.spawn(send_body(*conn));
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  std::string piece(kPiece, ' ');
  for (size_t i = 0; i < kPieces; ++i) {
    CO_TRY_DO(co_await read_exactly(*conn, asio::buffer(piece)));
    if (piece.compare(0, 8, fmt::format("{:08}", i)) != 0)
      co_return Error::internal("out of order");
    most.look();
  }
  co_return Result<>();
}

TEST(Load, 200MegabytesStreamBothWaysAtOnceInBoundedMemory) {
  TestWorld world;
  world.add_node("m1");
  world.set_app("i1", mirror_app);
  world.set_routes({make_route(1)});
  Watermark most{&world};
  world.run(stream_both_ways(world, most));
  // A window each way, and what waits for the connection at both ends.
  EXPECT_LT(most.bytes, 2 * 256 * 1024 + 4 * 160 * 1024u);
  EXPECT_GT(most.bytes, 0u);
}

// A client that stops reading stops the application, not the gateway's memory.
Task<Result<>> endless_app(ConnPtr conn, size_t* written) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\n\r\n"));
  const std::string piece(kPiece, 'x');
  while (true) {
    CO_TRY_DO(co_await conn->write(piece));
    *written += piece.size();
  }
}

Task<Result<>> stop_reading(TestWorld& world, size_t& written) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write("GET / HTTP/1.1\r\nHost: g.example\r\n\r\n"));
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await world.clock.sleep_for(10s));
  const size_t before = written;
  EXPECT_LT(before, 2u * 1024 * 1024);
  CO_TRY_DO(co_await world.clock.sleep_for(50s));
  EXPECT_EQ(written, before);
  CO_TRY_DO(co_await world.clock.sleep_for(45s));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u) << "cut after 100 s without a byte";
  co_return Result<>();
}

TEST(Load, AClientThatStopsReadingStopsTheApplication) {
  TestWorld world;
  world.add_node("m1");
  size_t written = 0;
  world.set_app("i1", [&](ConnPtr conn) { return endless_app(std::move(conn), &written); });
  world.set_routes({make_route(1)});
  world.run(stop_reading(world, written));
}

// ---- churn ----

// Does anything an application may do wrong.
Task<Result<>> wild_app(ConnPtr conn, Clock& clock, Random& random) {
  while (true) {
    CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
    CO_TRY_DO(co_await clock.sleep_for(std::chrono::milliseconds(random.below(300))));
    switch (random.below(9)) {
      case 0:
        conn->abort();
        co_return Result<>();
      case 1:
        co_return Result<>();
      case 2:
        CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart"));
        conn->abort();
        co_return Result<>();
      case 3:
        CO_TRY_DO(co_await conn->write("garbage\r\n\r\n"));
        co_return Result<>();
      case 4:
        CO_TRY_DO(co_await clock.sleep_for(5s));
        co_return Result<>();
      default:
        CO_TRY_DO(co_await conn->write(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"));
    }
  }
}

Task<Result<>> wild_client(TestWorld& world, Random& random, int requests, int& ended) {
  for (int i = 0; i < requests; ++i) {
    CO_TRY_DO(co_await world.clock.sleep_for(std::chrono::milliseconds(random.below(200))));
    const ConnPtr conn = world.connect();
    const bool body = random.chance(0.3);
    std::string text = body ? "POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: 100000\r\n\r\n"
                            : "GET / HTTP/1.1\r\nHost: g.example\r\n\r\n";
    if (body) text += std::string(random.below(100'001), 'x');
    if (co_await conn->write(text)) {
      if (random.chance(0.3)) {
        CO_TRY_DO(co_await world.clock.sleep_for(std::chrono::milliseconds(random.below(300))));
        if (random.chance(0.5)) conn->abort();
      } else {
        conn->set_deadline(world.clock.now() + 2s);
        std::ignore = co_await read_until(*conn, "\r\n\r\n");
      }
    }
  }
  ++ended;
  co_return Result<>();
}

Task<Result<>> breaks(TestWorld& world, Random& random) {
  while (true) {
    CO_TRY_DO(co_await world.clock.sleep_for(std::chrono::milliseconds(500 + random.below(1000))));
    const std::string node = fmt::format("m{}", 1 + random.below(3));
    world.node_tunnel(node).close();
    CO_TRY_DO(co_await world.clock.sleep_for(std::chrono::milliseconds(random.below(500))));
    world.add_node(node);
  }
}

Task<Result<>> churn(TestWorld& world, Random& random) {
  constexpr int kClients = 20;
  int ended = 0;
  for (int i = 0; i < kClients; ++i) world.spawn(wild_client(world, random, 30, ended));
  Scope breaking(world.loop.executor(), "breaking");
  breaking.spawn(breaks(world, random));
  while (ended < kClients) {
    CO_TRY_DO(co_await world.clock.sleep_for(1s));
    // Routes change meanwhile.
    link::Route route = make_route(1 + static_cast<int>(random.below(3)));
    route.single_connection_limit = random.chance(0.3);
    route.least_connections = random.chance(0.5);
    route.server_response_timeout_ms = 3000;
    route.client_request_timeout_ms = 2000;
    world.set_routes({route});
  }
  co_await breaking.stop();
  CO_TRY_DO(co_await world.clock.sleep_for(5min));
  co_return Result<>();
}

TEST(Load, CountsReturnToZeroAfterAChurnOfErrors) {
  for (const uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE(seed);
    TestWorld world;
    SeededRandom random(seed);
    for (int i = 1; i <= 3; ++i) {
      world.add_node(fmt::format("m{}", i));
      world.set_app(fmt::format("i{}", i),
                    [&](ConnPtr conn) { return wild_app(std::move(conn), world.clock, random); });
    }
    world.set_routes({make_route(3)});
    world.run(churn(world, random));
    const Group& group = world.group("g.example");
    EXPECT_EQ(group.stats.requests, 600u);
    uint64_t ended = 0;
    for (const auto& [status, count] : group.stats.answers) ended += count;
    EXPECT_EQ(ended, 600u) << "each request ends once";
    EXPECT_GT(group.stats.answers.at(200), 50u);
    EXPECT_GT(group.stats.answers.at(502), 50u);
    EXPECT_EQ(group.in_flight(), 0u);
    EXPECT_EQ(group.waiting(), 0u);
    for (const InstancePtr& instance : group.instances()) EXPECT_EQ(instance->in_flight, 0u);
    EXPECT_EQ(world.gateway.proxy().connections(), 0u);
    for (int i = 1; i <= 3; ++i) {
      EXPECT_EQ(world.node_tunnel(fmt::format("m{}", i)).streams(), 0u);
    }
  }
}

}  // namespace
}  // namespace mesclun::gateway
