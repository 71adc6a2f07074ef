#include "gateway/test_world.h"

namespace mesclun::gateway {
namespace {

Task<Result<>> echo_socket(ConnPtr conn) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  EXPECT_NE(head.find("Upgrade: websocket"), std::string::npos);
  EXPECT_NE(head.find("Connection: Upgrade"), std::string::npos);
  CO_TRY_DO(co_await conn->write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Accept: yes\r\n\r\nhello "));
  char buffer[1000];
  while (true) {
    CO_TRY(const size_t n, co_await conn->read_some(asio::buffer(buffer)));
    if (n == 0) co_return Result<>();
    CO_TRY_DO(co_await conn->write(std::string_view(buffer, n)));
  }
}

struct Sockets : TestWorld {
  Sockets() {
    add_node("m1");
    set_app("i1", echo_socket);
    set_routes({make_route(1)});
  }
};

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: g.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n";

Task<Result<>> talk(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(std::string(kUpgrade) + "at once"));
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_NE(head.find("Sec-WebSocket-Accept: yes"), std::string::npos);
  CO_TRY(const std::string first, co_await read_until(*conn, "at once"));
  EXPECT_EQ(first, "hello at once");
  // Pings within the limit keep it, for longer than any request may take.
  for (int i = 0; i < 10; ++i) {
    CO_TRY_DO(co_await world.clock.sleep_for(95s));
    CO_TRY_DO(co_await conn->write("ping"));
    CO_TRY(const std::string pong, co_await read_until(*conn, "ping"));
  }
  EXPECT_EQ(world.group("g.example").in_flight(), 1u) << "one request for its whole life";
  const TimePoint before = world.clock.now();
  char byte;
  const auto end = co_await conn->read_some(asio::buffer(&byte, 1));
  EXPECT_TRUE(!end || *end == 0);
  EXPECT_GE(world.clock.now() - before, 100s);
  EXPECT_LE(world.clock.now() - before, 101s);
  CO_TRY_DO(co_await world.clock.sleep_for(1ms));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
  co_return Result<>();
}

TEST(WebSocket, CarriesBytesBothWaysUntilBothAreSilentFor100S) {
  Sockets world;
  world.run(talk(world));
}

Task<Result<>> client_leaves(TestWorld& world) {
  {
    const ConnPtr conn = world.connect();
    CO_TRY_DO(co_await conn->write(kUpgrade));
    CO_TRY(const std::string head, co_await read_until(*conn, "hello "));
  }
  CO_TRY_DO(co_await world.clock.sleep_for(100ms));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
  EXPECT_EQ(world.node_tunnel("m1").streams(), 0u);
  co_return Result<>();
}

TEST(WebSocket, EndsWithItsClient) {
  Sockets world;
  world.run(client_leaves(world));
}

Task<Result<>> refused(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(kUpgrade));
  CO_TRY(const std::string answer, co_await read_until(*conn, "no"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 Mine\r\n"));
  // The connection goes on as HTTP.
  CO_TRY_DO(co_await conn->write("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"));
  CO_TRY(const std::string next, co_await read_until(*conn, "\r\n\r\n"));
  EXPECT_TRUE(next.starts_with("HTTP/1.1 404 "));
  co_return Result<>();
}

TEST(WebSocket, MayBeRefusedByTheApplication) {
  Sockets world;
  world.set_app("i1",
                raw_app(world.clock, "HTTP/1.1 403 Mine\r\nContent-Length: 2\r\n\r\nno", false));
  world.run(refused(world));
}

}  // namespace
}  // namespace mesclun::gateway
