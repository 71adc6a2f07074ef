// Peers that are slow, stall, leave, or end only their own side.
#include <fmt/format.h>

#include "gateway/test_world.h"
#include "http/reader.h"

namespace mesclun::gateway {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: g.example\r\n\r\n";

// One node with one instance.
struct World : TestWorld {
  explicit World(GatewaySettings settings = {}) : TestWorld(std::move(settings)) {
    add_node("m1");
    set_routes({make_route(1)});
  }
};

Task<Result<>> silent_app(ConnPtr conn, Clock& clock) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  co_return co_await clock.sleep_for(1h);
}

// Answers with the body unread, and closes.
Task<Result<>> early_app(ConnPtr conn) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 422 No\r\nContent-Length: 5\r\n\r\nearly"));
  co_return Result<>();
}

// Serves one request, and closes the next time that something comes, without reading it.
Task<Result<>> closing_app(ConnPtr conn, Clock& clock, int* served) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\nx"));
  ++*served;
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  while (conn->is_clean()) CO_TRY_DO(co_await clock.sleep_for(1ms));
  conn->close();
  co_return Result<>();
}

Task<Result<>> many_posts(TestWorld& world) {
  for (int i = 0; i < 20; ++i) {
    HttpCall request{.method = "POST", .body = "x"};
    CO_TRY(const HttpReply reply, co_await call(world, std::move(request)));
    EXPECT_EQ(reply.status, 200);
  }
  co_return Result<>();
}

TEST(SlowPeer, WhatNobodyHasReadIsRepeatedWhateverItsMethod) {
  World world;
  int served = 0;
  world.set_app("i1",
                [&](ConnPtr conn) { return closing_app(std::move(conn), world.clock, &served); });
  world.run(many_posts(world));
  EXPECT_EQ(served, 20);
  EXPECT_EQ(world.group("g.example").stats.retries[static_cast<size_t>(RetryCause::Closed)], 19u);
}

Task<HttpResponse> answer_later(Clock& clock, Duration delay) {
  std::ignore = co_await clock.sleep_for(delay);
  co_return HttpResponse{};
}

Task<Result<>> half_close(TestWorld& world, Duration delay, std::string expected) {
  world.set_app("i1", http_app(world.clock, [&world, delay](HttpRequest) {
                  return answer_later(world.clock, delay);
                }));
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(kGet));
  conn->shutdown_write();
  const Result<std::string> answer = co_await read_to_end(*conn);
  EXPECT_EQ(answer.value_or("").substr(0, 12), expected);
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
  co_return Result<>();
}

TEST(SlowPeer, AClientThatEndsItsOwnSideStillHearsItsAnswer) {
  for (const auto& [delay, answer] : {std::pair<Duration, std::string>(0s, "HTTP/1.1 200"),
                                      std::pair<Duration, std::string>(9s, "HTTP/1.1 200"),
                                      std::pair<Duration, std::string>(30s, "")}) {
    World world;
    world.run(half_close(world, delay, answer));
  }
}

Task<Result<>> quiet_app(ConnPtr conn, Clock& clock) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\n\r\nevent"));
  co_return co_await clock.sleep_for(1h);
}

Task<Result<>> leaves_a_stream(TestWorld& world) {
  world.set_app("i1", [&](ConnPtr conn) { return quiet_app(std::move(conn), world.clock); });
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(kGet));
  CO_TRY(const std::string answer, co_await read_until(*conn, "event"));
  EXPECT_EQ(world.group("g.example").in_flight(), 1u);
  conn->shutdown_write();
  CO_TRY_DO(co_await world.clock.sleep_for(11s));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
  co_return Result<>();
}

TEST(SlowPeer, AQuietStreamToAClientThatHasLeftEnds) {
  World world;
  world.run(leaves_a_stream(world));
}

// A client that sends `pieces` of 10 kB, ten a second, and reads nothing before the end.
Task<Result<>> upload_and_then_read(TestWorld& world, int pieces, std::string& answer) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(fmt::format(
      "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", answer, pieces * 10'000)));
  for (int i = 0; i < pieces; ++i) {
    CO_TRY_DO(co_await world.clock.sleep_for(100ms));
    CO_TRY_DO(co_await conn->write(std::string(10'000, 'x')));
  }
  CO_TRY(answer, co_await read_until(*conn, "\r\n"));
  co_return Result<>();
}

TEST(SlowPeer, ARefusalReachesAClientThatReadsNothingBeforeItHasSentAll) {
  World world;
  world.set_app("i1", early_app);
  for (const auto& [host, expected] : {std::pair("g.example", "HTTP/1.1 422 No\r\n"),
                                       std::pair("nobody.example", "HTTP/1.1 404 Not Found\r\n")}) {
    std::string answer = host;
    world.run(upload_and_then_read(world, 600, answer));
    EXPECT_EQ(answer, expected);
  }
}

// Reads `bytes` a second of an answer of `size`.
Task<Result<>> read_steadily(TestWorld& world, size_t size, size_t bytes) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(kGet));
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  std::string piece(bytes, ' ');
  for (size_t left = size; left > 0;) {
    CO_TRY_DO(co_await world.clock.sleep_for(1s));
    piece.resize(std::min(left, bytes));
    CO_TRY_DO(co_await read_exactly(*conn, asio::buffer(piece)));
    left -= piece.size();
  }
  co_return Result<>();
}

TEST(SlowPeer, ASlowReaderIsNotCutWhileBytesMove) {
  World world;
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n";
  world.set_app("i1", raw_app(world.clock, head + std::string(2'000'000, 'x'), false));
  world.run(read_steadily(world, 2'000'000, 3000));
}

// Takes the head, and nothing of the body for longer than a client may be silent.
Task<Result<>> stalling_app(ConnPtr conn, Clock& clock) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await clock.sleep_for(90s));
  std::string body(4'000'000, ' ');
  CO_TRY_DO(co_await read_exactly(*conn, asio::buffer(body)));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  co_return Result<>();
}

Task<Result<>> upload_at_once(TestWorld& world, std::string& answer) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(
      "POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: 4000000\r\n\r\n"));
  CO_TRY_DO(co_await conn->write(std::string(4'000'000, 'x')));
  CO_TRY(answer, co_await read_until(*conn, "\r\n"));
  co_return Result<>();
}

TEST(SlowPeer, AnInstanceThatStallsIsNotTheClientsSlowness) {
  World world;
  world.set_app("i1", [&](ConnPtr conn) { return stalling_app(std::move(conn), world.clock); });
  std::string answer;
  world.run(upload_at_once(world, answer));
  EXPECT_EQ(answer, "HTTP/1.1 200 OK\r\n");
}

TEST(SlowPeer, ABadChunkBeforeAnythingWasSentIs502) {
  World world;
  world.set_app(
      "i1",
      raw_app(world.clock, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false));
  const auto body = [](TestWorld& w) -> Task<Result<>> {
    CO_TRY(const std::string status, co_await get_status(w, "g.example"));
    EXPECT_EQ(status, "502 bad_response");
    co_return Result<>();
  };
  world.run(body(world));
}

// Interim answers that no client's buffers hold all at once, then the final one.
Task<Result<>> early_hints_app(ConnPtr conn) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  for (int i = 0; i < HttpReader::kInterimMax - 1; ++i) {
    CO_TRY_DO(co_await conn->write("HTTP/1.1 103 Early Hints\r\nLink: <" +
                                   std::string(60'000, 'x') + ">\r\n\r\n"));
  }
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  co_return Result<>();
}

Task<Result<>> takes_no_interim_answer(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(kGet));
  CO_TRY_DO(co_await world.clock.sleep_for(9s));
  EXPECT_EQ(world.group("g.example").in_flight(), 1u);
  CO_TRY_DO(co_await world.clock.sleep_for(2s));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
  co_return Result<>();
}

TEST(SlowPeer, AClientThatTakesNoInterimAnswerGivesItsPlaceBack) {
  World world;
  world.set_app("i1", early_hints_app);
  world.run(takes_no_interim_answer(world));
}

TEST(SlowPeer, ANodeWithoutAStreamLeftIs503) {
  GatewaySettings settings;
  settings.tunnel.streams_max = 1;
  World world(settings);
  world.set_app("i1", [&](ConnPtr conn) { return silent_app(std::move(conn), world.clock); });
  const auto body = [](TestWorld& w) -> Task<Result<>> {
    const ConnPtr held = w.connect();
    CO_TRY_DO(co_await held->write(kGet));
    CO_TRY_DO(co_await w.clock.sleep_for(1ms));
    CO_TRY(const std::string status, co_await get_status(w, "g.example"));
    EXPECT_EQ(status, "503 streams_exhausted");
    co_return Result<>();
  };
  world.run(body(world));
}

}  // namespace
}  // namespace mesclun::gateway
