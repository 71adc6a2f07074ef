// The data path: what goes through, how, and what happens when a side breaks off.
#include "gateway/test_world.h"

#include <fmt/format.h>

namespace mesclun::gateway {
namespace {

using World = EchoWorld;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: g.example\r\n\r\n";

Task<Result<>> keep_alive(TestWorld& world) {
  const ConnPtr conn = world.connect();
  bool keep = false;
  for (int i = 0; i < 10; ++i) {
    HttpCall request{.method = "POST", .target = fmt::format("/{}", i), .body = "hello"};
    CO_TRY(const HttpReply reply,
           co_await http_call(*conn, std::move(request), "g.example", 1 << 20, keep));
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(keep);
    EXPECT_TRUE(reply.body.starts_with(fmt::format("POST /{}\n", i)));
    EXPECT_TRUE(reply.body.ends_with("\n\nhello"));
  }
  co_return Result<>();
}

TEST(Proxy, ConnectionsOnBothSidesCarryManyRequests) {
  World world;
  world.run(keep_alive(world));
  EXPECT_EQ(world.connects, 1u);
  EXPECT_EQ(world.group("g.example").stats.answers[200], 10u);
}

Task<Result<>> pipelined(TestWorld& world) {
  const ConnPtr conn = world.connect();
  std::string all;
  for (int i = 0; i < 5; ++i) {
    all += fmt::format("POST /{} HTTP/1.1\r\nHost: g.example\r\nContent-Length: 4\r\n{}\r\nbody", i,
                       i == 4 ? "Connection: close\r\n" : "");
  }
  CO_TRY_DO(co_await conn->write(all));
  CO_TRY(const std::string answers, co_await read_to_end(*conn));
  size_t at = 0;
  for (int i = 0; i < 5; ++i) {
    at = answers.find(fmt::format("POST /{}\n", i), at);
    EXPECT_NE(at, std::string::npos) << i;
  }
  co_return Result<>();
}

TEST(Proxy, PipelinedRequestsAreAnsweredInOrder) {
  World world;
  world.run(pipelined(world));
}

Task<Result<>> chunked_request(TestWorld& world, bool in_pieces) {
  const ConnPtr conn = world.connect();
  const std::string_view text =
      "POST / HTTP/1.1\r\nHost: g.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
      "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n";
  const size_t step = in_pieces ? 1 : text.size();
  for (size_t at = 0; at < text.size(); at += step) {
    CO_TRY_DO(co_await conn->write(text.substr(at, step)));
    if (in_pieces) CO_TRY_DO(co_await world.clock.sleep_for(1ms));
  }
  CO_TRY(const std::string answer, co_await read_until(*conn, "hello world"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  co_return Result<>();
}

TEST(Proxy, ChunkedRequestsPassWholeAndByteByByte) {
  World world;
  world.run(chunked_request(world, false));
  world.run(chunked_request(world, true));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
}

// Another one every time.
std::string without_request_id(std::string answer) {
  const size_t at = answer.find("X-Request-Id: ");
  if (at != std::string::npos) answer.erase(at, answer.find("\r\n", at) + 2 - at);
  return answer;
}

Task<Result<>> expect_text(TestWorld& world, std::string request, std::string answer) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(request));
  CO_TRY(const std::string got, co_await read_to_end(*conn));
  EXPECT_EQ(without_request_id(got), answer);
  co_return Result<>();
}

TEST(Proxy, AnswersInEveryFraming) {
  World world;
  const std::string get = "GET / HTTP/1.1\r\nHost: g.example\r\nConnection: close\r\n\r\n";
  const std::string old_get = "GET / HTTP/1.0\r\nHost: g.example\r\n\r\n";
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: "
      "1\r\n\r\n";
  world.set_app("i1", raw_app(world.clock, chunked, false));
  world.run(expect_text(world, get,
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                        "5\r\nabcde\r\n0\r\nX-T: 1\r\n\r\n"));
  world.loop.clock.run_for(10s);
  world.run(expect_text(world, old_get, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde"));
  world.loop.clock.run_for(10s);
  world.set_app("i1", raw_app(world.clock, "HTTP/1.1 200 OK\r\n\r\nuntil the end", false));
  world.run(expect_text(world, get,
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                        "d\r\nuntil the end\r\n0\r\n\r\n"));
  world.loop.clock.run_for(10s);
  world.set_app("i1", raw_app(world.clock, "HTTP/1.1 204 No Content\r\n\r\n", false));
  world.run(expect_text(world, get, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"));
  world.loop.clock.run_for(10s);
  world.set_app("i1", raw_app(world.clock, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false));
  world.run(expect_text(world, "HEAD / HTTP/1.1\r\nHost: g.example\r\nConnection: close\r\n\r\n",
                        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"));
}

// Says 100 Continue only after the head, and answers with the size of the body.
Task<Result<>> patient_app(ConnPtr conn) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  EXPECT_NE(head.find("Expect: 100-continue"), std::string::npos);
  CO_TRY_DO(co_await conn->write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 100 Continue\r\n\r\n"));
  CO_TRY(const std::string body, co_await read_until(*conn, "body"));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  co_return Result<>();
}

Task<Result<>> with_expect(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(
      "POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
  CO_TRY(const std::string interim, co_await read_until(*conn, "HTTP/1.1 100 Continue\r\n\r\n"));
  EXPECT_TRUE(interim.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"));
  CO_TRY_DO(co_await conn->write("body"));
  CO_TRY(const std::string answer, co_await read_until(*conn, "ok"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  co_return Result<>();
}

TEST(Proxy, ExpectContinueIsTheApplicationsToAnswer) {
  World world;
  world.set_app("i1", patient_app);
  world.run(with_expect(world));
}

Task<Result<>> early_app(ConnPtr conn) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 422 No\r\nContent-Length: 5\r\n\r\nearly"));
  co_return Result<>();  // and closes with the body unread
}

Task<Result<>> early_answer(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(
      "POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: 100000000\r\n\r\nstart"));
  CO_TRY(const std::string answer, co_await read_to_end(*conn));
  EXPECT_EQ(without_request_id(answer),
            "HTTP/1.1 422 No\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly");
  co_return Result<>();
}

TEST(Proxy, AnAnswerBeforeTheEndOfTheBodyPassesAndEndsTheConnection) {
  World world;
  world.set_app("i1", early_app);
  world.run(early_answer(world));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
}

Task<Result<>> expect_truncation(TestWorld& world, Duration at_most) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(kGet));
  CO_TRY(const std::string head, co_await read_until(*conn, "part"));
  const TimePoint before = world.clock.now();
  const Result<std::string> rest = co_await read_to_end(*conn);
  EXPECT_FALSE(rest) << "an orderly end would pass for the whole answer";
  EXPECT_LE(world.clock.now() - before, at_most);
  co_return Result<>();
}

TEST(Proxy, AnAnswerThatBreaksOffIsAResetForTheClient) {
  World world;
  const std::string part = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";
  world.set_app("i1", raw_app(world.clock, part, true));
  world.run(expect_truncation(world, 1s));
  world.set_app("i1", raw_app(world.clock, part, false));
  world.run(expect_truncation(world, 1s));
  world.set_app(
      "i1", raw_app(world.clock,
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz", false));
  world.run(expect_truncation(world, 1s));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
}

Task<Result<>> silent_app(ConnPtr conn, Clock& clock) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"));
  co_return co_await clock.sleep_for(1h);
}

TEST(Proxy, AStreamThatFallsSilentIsCutAfter100S) {
  World world;
  world.set_app("i1", [&](ConnPtr conn) { return silent_app(std::move(conn), world.clock); });
  const TimePoint before = world.clock.now();
  world.run(expect_truncation(world, 101s));
  EXPECT_GE(world.clock.now() - before, 100s);
}

Task<Result<>> ticking_app(ConnPtr conn, Clock& clock) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"));
  for (int i = 0; i < 20; ++i) {
    CO_TRY_DO(co_await clock.sleep_for(90s));
    CO_TRY_DO(co_await conn->write(fmt::format("data: {}\n\n", i)));
  }
  co_return Result<>();
}

Task<Result<>> read_events(TestWorld& world) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(kGet));
  const TimePoint before = world.clock.now();
  CO_TRY(const std::string first, co_await read_until(*conn, "data: 0\n\n"));
  EXPECT_LE(world.clock.now() - before, 90s + 10ms) << "no event waits for the next";
  CO_TRY(const std::string rest, co_await read_until(*conn, "0\r\n\r\n"));
  EXPECT_NE(rest.find("data: 19"), std::string::npos);
  co_return Result<>();
}

TEST(Proxy, AStreamMayLastForeverWhileBytesFlow) {
  World world;
  world.set_app("i1", [&](ConnPtr conn) { return ticking_app(std::move(conn), world.clock); });
  world.run(read_events(world));
}

// Serves one request, then closes the idle connection without a word.
Task<Result<>> brief_app(ConnPtr conn, Clock& clock, int* served) {
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  ++*served;
  CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  // The next request meets the close on its way.
  CO_TRY(const std::string second, co_await read_until(*conn, "\r\n\r\n"));
  co_return Result<>();
}

Task<Result<>> two_requests(TestWorld& world, std::string method, std::string second) {
  for (const std::string& expected : {std::string("200 "), second}) {
    HttpCall request{.method = method};
    CO_TRY(const HttpReply reply, co_await call(world, std::move(request)));
    EXPECT_EQ(
        fmt::format("{} {}", reply.status, reply.headers.find(kGatewayErrorHeader).value_or("")),
        expected);
  }
  co_return Result<>();
}

TEST(Proxy, ARequestThatMeetsAClosingStreamIsRepeatedOnlyIfItMayBe) {
  World world;
  int served = 0;
  world.set_app("i1",
                [&](ConnPtr conn) { return brief_app(std::move(conn), world.clock, &served); });
  world.run(two_requests(world, "GET", "200 "));
  EXPECT_EQ(served, 2);
  EXPECT_EQ(world.group("g.example").stats.retries[static_cast<size_t>(RetryCause::Closed)], 1u);
  world.loop.clock.run_for(10s);
  world.run(two_requests(world, "POST", "502 reset"));
}

TEST(Proxy, AnotherInstanceTakesWhatOneRefuses) {
  World world(make_route(3));
  link::Route route = make_route(3);
  route.instances[0].instance_id = "refused1";
  route.instances[1].instance_id = "refused2";
  world.set_routes({route});
  const auto body = [](TestWorld& w) -> Task<Result<>> {
    for (int i = 0; i < 6; ++i) {
      CO_TRY(const std::string status, co_await get_status(w, "g.example"));
      EXPECT_EQ(status, "200 ");
    }
    co_return Result<>();
  };
  world.run(body(world));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
}

Task<Result<>> hold(TestWorld& world, std::vector<ConnPtr>& held) {
  held.push_back(world.connect());
  CO_TRY_DO(co_await held.back()->write(kGet));
  co_return Result<>();
}

Task<Result<>> note_request(ConnPtr conn, Clock& clock, std::vector<std::string>* order) {
  while (true) {
    CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
    order->push_back(head.substr(4, head.find(' ', 4) - 4));
    CO_TRY_DO(co_await clock.sleep_for(1s));
    CO_TRY_DO(co_await conn->write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  }
}

Task<Result<>> fifo(TestWorld& world) {
  std::vector<ConnPtr> conns;
  for (int i = 0; i < 20; ++i) {
    conns.push_back(world.connect());
    CO_TRY_DO(co_await conns.back()->write(
        fmt::format("GET /{} HTTP/1.1\r\nHost: g.example\r\n\r\n", i)));
    CO_TRY_DO(co_await world.clock.sleep_for(1ms));
  }
  EXPECT_EQ(world.group("g.example").in_flight(), 1u);
  EXPECT_EQ(world.group("g.example").waiting(), 19u);
  conns[7]->close();  // leaves the queue
  for (int i = 0; i < 20; ++i) {
    if (i == 7) continue;
    CO_TRY(const std::string answer, co_await read_until(*conns[i], "\r\n\r\n"));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 "));
  }
  co_return Result<>();
}

TEST(Proxy, OneAtATimeServesInOrderOfArrival) {
  link::Route route = make_route(1);
  route.single_connection_limit = true;
  World world(route);
  std::vector<std::string> order;
  world.set_app("i1",
                [&](ConnPtr conn) { return note_request(std::move(conn), world.clock, &order); });
  world.run(fifo(world));
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    if (i != 7) expected.push_back(fmt::format("/{}", i));
  }
  EXPECT_EQ(order, expected);
}

Task<Result<>> wait_too_long(TestWorld& world) {
  std::vector<ConnPtr> held;
  CO_TRY_DO(co_await hold(world, held));
  CO_TRY_DO(co_await world.clock.sleep_for(1ms));
  const TimePoint before = world.clock.now();
  CO_TRY(const std::string status, co_await get_status(world, "g.example"));
  EXPECT_EQ(status, "504 request_timeout");
  EXPECT_EQ(world.clock.now() - before, 2s);
  // A client that leaves frees its instance, though its answer is far away.
  held.clear();
  CO_TRY_DO(co_await world.clock.sleep_for(11s));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
  co_return Result<>();
}

TEST(Proxy, OneAtATimeGivesUpAfterTheClientRequestTimeout) {
  link::Route route = make_route(1);
  route.single_connection_limit = true;
  route.client_request_timeout_ms = 2000;
  World world(route);
  world.set_app("i1", [&](ConnPtr conn) { return silent_app(std::move(conn), world.clock); });
  world.run(wait_too_long(world));
}

Task<Result<>> fill_queue(TestWorld& world) {
  std::vector<ConnPtr> held;
  for (size_t i = 0; i < Group::kWaitingMax + 1; ++i) CO_TRY_DO(co_await hold(world, held));
  CO_TRY_DO(co_await world.clock.sleep_for(1ms));
  EXPECT_EQ(world.group("g.example").waiting(), Group::kWaitingMax);
  CO_TRY(const std::string status, co_await get_status(world, "g.example"));
  EXPECT_EQ(status, "503 queue_full");
  co_return Result<>();
}

TEST(Proxy, OneAtATimeLets1000Wait) {
  link::Route route = make_route(1);
  route.single_connection_limit = true;
  World world(route);
  world.set_app("i1", [&](ConnPtr conn) { return silent_app(std::move(conn), world.clock); });
  world.run(fill_queue(world));
}

TEST(Proxy, ConnectionsAreBounded) {
  GatewaySettings settings;
  settings.proxy.connections_max = 3;
  World world(make_route(1), settings);
  const auto body = [](TestWorld& w) -> Task<Result<>> {
    std::vector<ConnPtr> busy;
    for (int i = 0; i < 3; ++i) busy.push_back(w.connect());
    for (const ConnPtr& conn : busy) CO_TRY_DO(co_await conn->write("GET / HTTP/1.1\r\n"));
    CO_TRY_DO(co_await w.clock.sleep_for(1ms));
    CO_TRY(const std::string status, co_await get_status(w, "g.example"));
    EXPECT_EQ(status, "503 too_many_connections");
    CO_TRY_DO(co_await w.clock.sleep_for(20s));
    EXPECT_EQ(w.gateway.proxy().connections(), 0u) << "slow ones end";
    co_return Result<>();
  };
  world.run(body(world));
}

}  // namespace
}  // namespace mesclun::gateway
