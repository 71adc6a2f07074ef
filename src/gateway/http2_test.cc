// HTTP/2 by prior knowledge: how it is told from HTTP/1.1, and that its streams are clients as others.
#include "gateway/test_world.h"
#include "http/h2_preface.h"
#include "http/h2_session.h"

namespace mesclun::gateway {
namespace {

// Settings, and a GET of / at g.example in stream 1: RFC 7541's static table has all but the host.
std::string opening() {
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  const std::string fields = std::string("\x82\x86\x84\x41\x09") + "g.example";
  const std::string head = std::string("\0\0", 2) + static_cast<char>(fields.size()) +
                           std::string("\1\5\0\0\0\1", 6) + fields;
  return std::string(kH2Preface) + settings + head;
}

Task<Result<>> ask(TestWorld& world, size_t step) {
  const ConnPtr conn = world.connect();
  const std::string all = opening();
  for (size_t at = 0; at < all.size(); at += step) {
    CO_TRY_DO(co_await conn->write(std::string_view(all).substr(at, step)));
    CO_TRY_DO(co_await world.clock.sleep_for(1ms));
  }
  // The application's echo of the request is in plain text.
  CO_TRY(const std::string answer, co_await read_until(*conn, "X-Forwarded-Proto: http\n"));
  EXPECT_NE(answer.find("GET /\n"), std::string::npos);
  EXPECT_EQ(answer.find("HTTP/1.1"), std::string::npos);
  CO_TRY_DO(co_await world.clock.sleep_for(1s));
  EXPECT_EQ(world.gateway.proxy().connections(), 1u) << "the stream has ended, the connection not";
  co_return Result<>();
}

TEST(Http2, APrefaceIsKnownWholeAndByteByByte) {
  EchoWorld world;
  for (const size_t step : {size_t{1}, size_t{24}, size_t{30}, size_t{1000}}) {
    world.run(ask(world, step));
  }
  EXPECT_EQ(world.group("g.example").stats.answers[200], 4u);
}

Task<Result<>> half_a_preface(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write("PRI * HTTP/2.0\r\n"));
  CO_TRY(const std::string answer, co_await read_to_end(*conn));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 ")) << answer;
  co_return Result<>();
}
TEST(Http2, HalfAPrefaceIsASlowRequest) {
  EchoWorld world;
  world.run(half_a_preface(world));
}

Task<Result<>> refused(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(opening()));
  CO_TRY(const std::string answer, co_await read_to_end(*conn));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  co_return Result<>();
}
TEST(Http2, TurnedOffItIsNoHttp) {
  GatewaySettings settings;
  settings.proxy.http2 = false;
  EchoWorld world(make_route(1), settings);
  world.run(refused(world));
}

Task<Result<>> stop_amid(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(opening()));
  CO_TRY_DO(co_await world.clock.sleep_for(1s));
  const TimePoint before = world.clock.now();
  co_await world.gateway.proxy().stop(1min);
  EXPECT_LT(world.clock.now() - before, 5s) << "nothing is under way";
  EXPECT_EQ(world.gateway.proxy().connections(), 0u);
  co_return Result<>();
}
TEST(Http2, AnIdleConnectionEndsWithTheGateway) {
  EchoWorld world;
  world.run(stop_amid(world));
}

}  // namespace
}  // namespace mesclun::gateway
