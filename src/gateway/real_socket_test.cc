// The same over real sockets, in real time: writes that the kernel takes in part, resets on the
// wire.
#include "gateway/test_world.h"

#include <fmt/format.h>

namespace mesclun::gateway {
namespace {

constexpr size_t kBytes = 32 * 1024 * 1024;

// Gateway, one node and one application, each side of each connection a socket.
struct RealWorld {
  RealLoop loop;
  SeededRandom random{1};
  NoCloud cloud;
  Gateway gateway{loop.executor(), loop.clock, random, {}, cloud};
  Scope scope{loop.executor(), "real world"};
  std::unique_ptr<link::Tunnel> node;
  Endpoint front;
  Endpoint back;
  App app;

  Task<Result<ConnPtr>> connect_app() { return dial(back, loop.clock, 5s); }
};

Task<Result<>> quietly(Task<Result<>> task) {
  std::ignore = co_await std::move(task);
  co_return Result<>();
}

Task<Result<>> serve_app(RealWorld& world, std::shared_ptr<Listener> listener) {
  while (true) {
    CO_TRY(ConnPtr conn, co_await listener->accept(world.loop.clock));
    world.scope.spawn(quietly(world.app(std::move(conn))));
  }
}

Task<Result<>> start(RealWorld& world) {
  const auto executor = world.loop.executor();
  const Endpoint any{.host = "127.0.0.1"};
  CO_TRY(Listener clients, Listener::bind(executor, any));
  world.front = clients.endpoint();
  world.gateway.serve_clients(std::move(clients));
  CO_TRY(Listener apps, Listener::bind(executor, any));
  world.back = apps.endpoint();
  world.scope.spawn(quietly(serve_app(world, std::make_shared<Listener>(std::move(apps)))));
  CO_TRY(Listener tunnels, Listener::bind(executor, any));
  CO_TRY(ConnPtr ours, co_await dial(tunnels.endpoint(), world.loop.clock, 5s));
  CO_TRY(ConnPtr theirs, co_await tunnels.accept(world.loop.clock));
  world.node =
      link::Tunnel::accepting(executor, std::move(ours), world.loop.clock,
                              [&world](link::TunnelTarget) { return world.connect_app(); });
  world.scope.spawn(quietly(world.node->run()));
  world.gateway.hub().add("m1", std::move(theirs));
  link::RouteUpdate update;
  update.complete = true;
  update.routes = {make_route(1)};
  world.gateway.table().apply(std::move(update));
  co_return Result<>();
}

Task<Result<>> with_world(RealWorld& world, App app, Task<Result<>> story) {
  world.app = std::move(app);
  CO_TRY_DO(co_await start(world));
  const Result<> result = co_await std::move(story);
  const Group& group = *world.gateway.table().find("g.example");
  for (int i = 0; i < 100 && group.in_flight() > 0; ++i) {
    CO_TRY_DO(co_await world.loop.clock.sleep_for(10ms));
  }
  EXPECT_EQ(group.in_flight(), 0u);
  world.node->close();
  co_await world.gateway.stop();
  co_await world.scope.stop();
  co_return result;
}

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: g.example\r\n\r\n";

Task<Result<>> many_requests(RealWorld& world) {
  CO_TRY(const ConnPtr conn, co_await dial(world.front, world.loop.clock, 5s));
  bool keep = false;
  for (int i = 0; i < 200; ++i) {
    HttpCall request{.method = "POST", .body = std::string(static_cast<size_t>(i) * 50, 'b')};
    CO_TRY(const HttpReply reply,
           co_await http_call(*conn, std::move(request), "g.example", 1 << 20, keep));
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(keep);
    EXPECT_NE(reply.body.find("X-Forwarded-For: 127.0.0.1\n"), std::string::npos);
    EXPECT_TRUE(reply.body.ends_with(std::string(static_cast<size_t>(i) * 50, 'b')));
  }
  co_return Result<>();
}

TEST(RealSockets, OneConnectionCarriesManyRequests) {
  RealWorld world;
  world.loop.run(with_world(world, echo_app(world.loop.clock), many_requests(world)));
}

Task<Result<>> numbered_bytes(ConnPtr conn) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(
      co_await conn->write(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", kBytes)));
  std::string piece(8000, ' ');
  for (size_t at = 0; at < kBytes; at += piece.size()) {
    const std::string number = fmt::format("{:08}", at);
    for (size_t i = 0; i < piece.size(); i += 8) piece.replace(i, 8, number);
    CO_TRY_DO(co_await conn->write(std::string_view(piece).substr(0, kBytes - at)));
  }
  co_return Result<>();
}

Task<Result<>> slow_reader(RealWorld& world) {
  CO_TRY(const ConnPtr conn, co_await dial(world.front, world.loop.clock, 5s));
  CO_TRY_DO(co_await conn->write(kGet));
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  std::string piece(8000, ' ');
  for (size_t at = 0; at < kBytes; at += piece.size()) {
    // Long enough for every buffer on the way to fill up.
    if (at % 4'000'000 == 0) CO_TRY_DO(co_await world.loop.clock.sleep_for(30ms));
    piece.resize(std::min(piece.size(), kBytes - at));
    CO_TRY_DO(co_await read_exactly(*conn, asio::buffer(piece)));
    const std::string number = fmt::format("{:08}", at);
    for (size_t i = 0; i < piece.size(); i += 8) {
      if (piece.compare(i, 8, number.substr(0, piece.size() - i)) != 0) {
        co_return Error::internal(fmt::format("wrong bytes at {}", at + i));
      }
    }
  }
  co_return Result<>();
}

TEST(RealSockets, AStoppingReaderLosesAndRepeatsNothing) {
  RealWorld world;
  world.loop.run(with_world(world, numbered_bytes, slow_reader(world)));
}

Task<Result<>> count_body(ConnPtr conn) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  std::vector<char> buffer(100'000);
  size_t count = 0;
  while (count < kBytes) {
    CO_TRY(const size_t n, co_await conn->read_some(asio::buffer(buffer)));
    if (n == 0) co_return Error::unavailable("ended");
    count += n;
  }
  co_return co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall");
}

Task<Result<>> upload(RealWorld& world) {
  CO_TRY(const ConnPtr conn, co_await dial(world.front, world.loop.clock, 5s));
  CO_TRY_DO(co_await conn->write(
      fmt::format("POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: {}\r\n\r\n", kBytes)));
  const std::string piece(kBytes / 32, 'u');
  for (int i = 0; i < 32; ++i) CO_TRY_DO(co_await conn->write(piece));
  CO_TRY(const std::string answer, co_await read_until(*conn, "all"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  co_return Result<>();
}

Task<Result<>> rest_and_ask_again(RealWorld& world) {
  CO_TRY(const ConnPtr conn, co_await dial(world.front, world.loop.clock, 5s));
  const Proxy& proxy = world.gateway.proxy();
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 500 && proxy.resting() == 0; ++i) {
      CO_TRY_DO(co_await world.loop.clock.sleep_for(10ms));
    }
    EXPECT_EQ(proxy.resting(), 1u);
    // In two parts, of which the first one wakes.
    CO_TRY_DO(co_await conn->write(kGet.substr(0, 7)));
    CO_TRY_DO(co_await world.loop.clock.sleep_for(20ms));
    EXPECT_EQ(proxy.resting(), 0u);
    CO_TRY_DO(co_await conn->write(kGet.substr(7)));
    CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n"));
    const size_t at = head.find("Content-Length: ");
    std::string body(at == std::string::npos ? 0 : std::stoul(head.substr(at + 16)), ' ');
    CO_TRY_DO(co_await read_exactly(*conn, asio::buffer(body)));
    EXPECT_NE(body.find("X-Forwarded-For: 127.0.0.1\n"), std::string::npos);
  }
  co_return Result<>();
}

TEST(RealSockets, AConnectionRestsAndIsAnsweredAgain) {
  RealWorld world;
  world.loop.run(with_world(world, echo_app(world.loop.clock), rest_and_ask_again(world)));
}

TEST(RealSockets, AnUploadArrivesWhole) {
  RealWorld world;
  world.loop.run(with_world(world, count_body, upload(world)));
}

Task<Result<>> break_off(ConnPtr conn) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"));
  co_return Result<>();
}

Task<Result<>> see_reset(RealWorld& world) {
  CO_TRY(const ConnPtr conn, co_await dial(world.front, world.loop.clock, 5s));
  CO_TRY_DO(co_await conn->write(kGet));
  const Result<std::string> all = co_await read_to_end(*conn);
  EXPECT_FALSE(all) << "a truncated answer must not end in good order";
  co_return Result<>();
}

TEST(RealSockets, ATruncatedAnswerIsAResetOnTheWire) {
  RealWorld world;
  world.loop.run(with_world(world, break_off, see_reset(world)));
}

Task<Result<>> never_answers(ConnPtr conn, bool* gone) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  char byte;
  const auto end = co_await conn->read_some(asio::buffer(&byte, 1));
  *gone = !end || *end == 0;
  co_return Result<>();
}

Task<Result<>> leave(RealWorld& world, bool& gone) {
  {
    CO_TRY(const ConnPtr conn, co_await dial(world.front, world.loop.clock, 5s));
    CO_TRY_DO(co_await conn->write(kGet));
    CO_TRY_DO(co_await world.loop.clock.sleep_for(50ms));
  }
  for (int i = 0; i < 1500 && !gone; ++i) CO_TRY_DO(co_await world.loop.clock.sleep_for(10ms));
  EXPECT_TRUE(gone) << "the application learns that its client has left";
  co_return Result<>();
}

TEST(RealSockets, AClientThatLeavesEndsItsRequest) {
  RealWorld world;
  bool gone = false;
  world.loop.run(with_world(
      world, [&gone](ConnPtr conn) { return never_answers(std::move(conn), &gone); },
      leave(world, gone)));
}

Task<Result<>> never_reads(ConnPtr conn, Clock& clock) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  co_return co_await clock.sleep_for(1h);
}

// Sends until every buffer on the way is full, and breaks off.
Task<Result<>> leave_uploading(RealWorld& world) {
  Clock& clock = world.loop.clock;
  CO_TRY(const ConnPtr conn, co_await dial(world.front, clock, 5s));
  CO_TRY_DO(co_await conn->write(
      fmt::format("POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: {}\r\n\r\n", kBytes)));
  const std::string piece(64 * 1024, 'u');
  const asio::const_buffer buffer = asio::buffer(piece);
  for (int stuck = 0; stuck < 20 && conn->written() < kBytes; ++stuck) {
    while (conn->written() < kBytes / 2 && conn->write_now(std::span(&buffer, 1)) > 0) stuck = 0;
    CO_TRY_DO(co_await clock.sleep_for(10ms));
  }
  const Group& group = *world.gateway.table().find("g.example");
  EXPECT_EQ(group.in_flight(), 1u);
  conn->abort();
  for (int i = 0; i < 2000 && group.in_flight() > 0; ++i) CO_TRY_DO(co_await clock.sleep_for(10ms));
  EXPECT_EQ(group.in_flight(), 0u) << "its place is free";
  co_return Result<>();
}

TEST(RealSockets, AnUploaderThatLeavesGivesItsPlaceBack) {
  RealWorld world;
  world.loop.run(with_world(
      world, [&](ConnPtr conn) { return never_reads(std::move(conn), world.loop.clock); },
      leave_uploading(world)));
}

// Reads a request and answers, then closes its idle connection at a moment of its own.
Task<Result<>> restless_app(ConnPtr conn, Clock& clock, int* served) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\nx"));
  ++*served;
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  CO_TRY_DO(co_await clock.sleep_for(4ms));
  co_return Result<>();
}

Task<Result<>> post_again_and_again(RealWorld& world) {
  for (int i = 0; i < 60; ++i) {
    CO_TRY(const ConnPtr conn, co_await dial(world.front, world.loop.clock, 5s));
    HttpCall post{.method = "POST", .body = "x"};
    bool keep_alive = false;
    CO_TRY(const HttpReply reply,
           co_await http_call(*conn, std::move(post), "g.example", 1000, keep_alive));
    EXPECT_EQ(reply.status, 200) << reply.body;
    // About when the application closes, now before and now after.
    CO_TRY_DO(co_await world.loop.clock.sleep_for(3500us + i * 20us));
  }
  co_return Result<>();
}

TEST(RealSockets, PostsMeetNoClosingConnection) {
  RealWorld world;
  int served = 0;
  world.loop.run(with_world(
      world, [&](ConnPtr conn) { return restless_app(std::move(conn), world.loop.clock, &served); },
      post_again_and_again(world)));
  EXPECT_EQ(served, 60) << "none is done twice";
}

}  // namespace
}  // namespace mesclun::gateway
