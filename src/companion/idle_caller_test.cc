// Callers who take their time: between two requests, and in the middle of one.
#include "companion/front_world.h"

namespace mesclun::companion {
namespace {

class IdleCaller : public FrontTest {
 protected:
  Task<Result<>> asks(Conn& conn) {
    bool keep_alive = false;
    HttpCall call = predict(1);
    CO_TRY(const HttpReply reply,
           co_await http_call(conn, std::move(call), "app", 1 << 20, keep_alive));
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(keep_alive);
    co_return Result<>();
  }
};

TEST_F(IdleCaller, RestsWithoutATaskAndIsAnsweredAgain) {
  start();
  const ConnPtr caller = connect();
  EXPECT_EQ(server->resting(), 1u) << "before its first request too";
  for (int i = 0; i < 3; ++i) {
    loop.run(asks(*caller));
    EXPECT_EQ(server->resting(), 0u) << "the next request may come at once";
    loop.clock.run_for(2s);
    EXPECT_EQ(server->resting(), 1u);
    EXPECT_EQ(server->connections(), 1u) << "it has no task";
  }
}

TEST_F(IdleCaller, EndsAfterTheIdleTimeout) {
  config.front.idle_timeout = 30s;
  start();
  const ConnPtr silent = connect();
  const ConnPtr caller = connect();
  loop.run(asks(*caller));
  loop.clock.run_for(11s);
  EXPECT_FALSE(silent->is_clean()) << "who connects asks within 10 s";
  EXPECT_TRUE(caller->is_clean());
  loop.clock.run_for(20s);
  EXPECT_FALSE(caller->is_clean());
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(IdleCaller, MakesRoomWhereAllConnectionsAreTaken) {
  config.front.connections_max = 2;
  start();
  const ConnPtr oldest = connect();
  loop.clock.run_for(1s);
  const ConnPtr newer = connect();
  const ConnPtr caller = connect();
  loop.run(asks(*caller));
  EXPECT_FALSE(oldest->is_clean());
  EXPECT_TRUE(newer->is_clean());
}

// 200 bytes a piece, one piece each `pause`.
Task<Result<>> drips(Clock& clock, Conn& conn, Duration pause, int pieces, std::string& answer) {
  CO_TRY_DO(co_await conn.write(
      fmt::format("POST /echo HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n", pieces * 200)));
  for (int i = 0; i < pieces; ++i) {
    CO_TRY_DO(co_await clock.sleep_for(pause));
    std::string piece(i == 0 ? R"({"data": 1})" : "");
    piece.resize(200, ' ');
    if (!co_await conn.write(piece)) break;
  }
  char byte;
  while (!answer.contains("\r\n")) {
    CO_TRY_DO(co_await read_exactly(conn, asio::buffer(&byte, 1)));
    answer += byte;
  }
  co_return Result<>();
}

TEST_F(IdleCaller, ABodyThatDripsIsRefused) {
  config.front.rate_min = 100;
  start();
  for (const bool slow : {true, false}) {
    const ConnPtr caller = connect();
    std::string answer;
    loop.run(drips(loop.clock, *caller, slow ? 10s : 1s, 60, answer));
    EXPECT_TRUE(answer.starts_with(slow ? "HTTP/1.1 408 " : "HTTP/1.1 200 ")) << answer;
    caller->close();
    loop.clock.run_for(1min);
    EXPECT_TRUE(front->bodies().has_room(config.front.buffer_max));
  }
}

}  // namespace
}  // namespace mesclun::companion
