// Every status that the gateway makes itself (contract: status codes made by the gateway), shown by
// what causes it.
#include <fmt/format.h>

#include "base/crypto.h"
#include "gateway/test_world.h"

namespace mesclun::gateway {
namespace {

// One ready instance that echoes.
struct Echo : TestWorld {
  explicit Echo(GatewaySettings settings = {}) : TestWorld(std::move(settings)) {
    add_node("m1");
    set_app("i1", echo_app(clock));
    set_routes({make_route(1)});
  }
  std::string status(std::string host = "g.example") {
    std::string out;
    run(store(get_status(*this, std::move(host)), out));
    return out;
  }
  std::string exchange(std::string text) {
    std::string out;
    run(store(raw(*this, std::move(text)), out));
    return out;
  }

 private:
  static Task<Result<>> store(Task<Result<std::string>> task, std::string& out) {
    CO_TRY(out, co_await std::move(task));
    co_return Result<>();
  }
  static Task<Result<std::string>> raw(TestWorld& world, std::string text) {
    const ConnPtr conn = world.connect();
    CO_TRY_DO(co_await conn->write(text));
    Result<std::string> all = co_await read_to_end(*conn);
    if (!all) co_return "broken: " + all.error().message;
    co_return all;
  }
};

bool starts(const std::string& text, std::string_view with) {
  return text.starts_with(with);
}

TEST(GatewayCodes, ApplicationAnswersPassUnchanged) {
  Echo world;
  EXPECT_EQ(world.status(), "200 ");
  for (const int status : {400, 404, 429, 500, 503}) {
    world.set_app("i1", raw_app(world.clock,
                                fmt::format("HTTP/1.1 {} Mine\r\nContent-Length: 0\r\n"
                                            "Connection: close\r\n\r\n",
                                            status),
                                false));
    world.loop.clock.run_for(10s);  // the stream of the other application is dropped
    EXPECT_EQ(world.status(), fmt::format("{} ", status));
  }
}

TEST(GatewayCodes, 400ForMalformedAndOversizedHeadsAndBadHosts) {
  Echo world;
  EXPECT_TRUE(starts(world.exchange("nonsense\r\n\r\n"), "HTTP/1.1 400 "));
  EXPECT_TRUE(starts(world.exchange("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 ")) << "no Host";
  EXPECT_TRUE(
      starts(world.exchange("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"),
             "HTTP/1.1 400 "));
  EXPECT_TRUE(starts(world.exchange("GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n"),
                     "HTTP/1.1 400 "));
  const std::string big(33 * 1024, 'x');
  EXPECT_TRUE(
      starts(world.exchange("GET / HTTP/1.1\r\nHost: g.example\r\nBig: " + big + "\r\n\r\n"),
             "HTTP/1.1 400 "));
  EXPECT_TRUE(starts(world.exchange("POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: 5\r\n"
                                    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                     "HTTP/1.1 400 "))
      << "smuggling";
  EXPECT_TRUE(starts(world.exchange("POST / HTTP/1.1\r\nHost: g.example\r\n"
                                    "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
                     "HTTP/1.1 400 "))
      << "no chunk";
}

TEST(GatewayCodes, 403ForMissingForeignAndInvalidKeysBeforeAnInstanceIsChosen) {
  Echo world;
  link::Route route = make_route(1);
  route.auth = true;
  world.set_routes({route},
                   {{sha256_hex("mine"), {"organization"}}, {sha256_hex("theirs"), {"x"}}});
  EXPECT_EQ(world.status(), "403 key_missing");
  const auto with_key = [&](std::string key) {
    return world.exchange(
        "GET / HTTP/1.1\r\nHost: g.example\r\nConnection: close\r\nsalad-api-key: " + key +
        "\r\n\r\n");
  };
  EXPECT_TRUE(starts(with_key("theirs"), "HTTP/1.1 403 "));
  EXPECT_TRUE(starts(with_key("nobody's"), "HTTP/1.1 403 "));
  EXPECT_EQ(world.connects, 0u);
  const std::string passed = with_key("mine");
  EXPECT_TRUE(starts(passed, "HTTP/1.1 200 "));
  EXPECT_EQ(passed.find("mine"), std::string::npos) << "the key went on to the application";
}

TEST(GatewayCodes, 404And410And503TellUnknownDeletedAndEmptyGroupsApart) {
  Echo world;
  EXPECT_EQ(world.status("nobody.example"), "404 unknown_host");
  EXPECT_EQ(world.status("G.Example:8801"), "200 ") << "any case, with a port";
  link::Route gone = make_route(1);
  gone.dns = "gone.example";
  gone.deleted = true;
  link::Route empty = make_route(0);
  empty.dns = "empty.example";
  link::Route unready = make_route(1);
  unready.dns = "unready.example";
  unready.instances[0].ready = false;
  link::Route away = make_route(1);
  away.dns = "away.example";
  away.instances[0].machine_id = "m9";
  world.set_routes({make_route(1), gone, empty, unready, away});
  EXPECT_EQ(world.status("gone.example"), "410 deleted");
  EXPECT_EQ(world.status("empty.example"), "503 no_instance");
  EXPECT_EQ(world.status("unready.example"), "503 no_ready_instance");
  EXPECT_EQ(world.status("away.example"), "503 no_tunnel");
}

TEST(GatewayCodes, 503BeforeTheFirstRoutes) {
  TestWorld world;
  std::string status;
  const auto body = [](TestWorld& w, std::string& out) -> Task<Result<>> {
    CO_TRY(out, co_await get_status(w, "g.example"));
    co_return Result<>();
  };
  world.run(body(world, status));
  EXPECT_EQ(status, "503 starting");
}

TEST(GatewayCodes, 408ForASlowHeadAndASlowBody) {
  Echo world;
  EXPECT_TRUE(starts(world.exchange("GET / HTTP/1.1\r\nHost: g"), "HTTP/1.1 408 "));
  const std::string slow =
      world.exchange("POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: 10\r\n\r\nhalf");
  EXPECT_TRUE(starts(slow, "HTTP/1.1 408 ")) << slow;
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
}

Task<Result<>> drip(TestWorld& world, std::string& answer) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(
      co_await conn->write("POST / HTTP/1.1\r\nHost: g.example\r\nContent-Length: 100000\r\n\r\n"));
  for (int i = 0; i < 100; ++i) {
    CO_TRY_DO(co_await world.clock.sleep_for(20s));
    if (!co_await conn->write("x")) break;
  }
  CO_TRY(answer, co_await read_until(*conn, "\r\n"));
  co_return Result<>();
}

TEST(GatewayCodes, 408ForABodyThatDrips) {
  Echo world;
  std::string answer;
  world.run(drip(world, answer));
  EXPECT_TRUE(starts(answer, "HTTP/1.1 408 ")) << answer;
}

Task<Result<>> send_without_end(TestWorld& world, std::string& answer) {
  const ConnPtr conn = world.connect();
  CO_TRY_DO(co_await conn->write(
      "POST / HTTP/1.1\r\nHost: g.example\r\nTransfer-Encoding: chunked\r\n\r\n"));
  const std::string chunk = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
  for (int i = 0; i < 20; ++i) {
    if (!co_await conn->write(chunk)) break;
  }
  CO_TRY(answer, co_await read_until(*conn, "\r\n"));
  co_return Result<>();
}

Task<Result<>> swallow(ConnPtr conn) {
  std::vector<char> buffer(64 * 1024);
  while (true) {
    CO_TRY(const size_t n, co_await conn->read_some(asio::buffer(buffer)));
    if (n == 0) co_return Result<>();
  }
}

TEST(GatewayCodes, 413ForABodyOverOneGigabyteWithAndWithoutALength) {
  Echo world;
  EXPECT_TRUE(starts(world.exchange("POST / HTTP/1.1\r\nHost: g.example\r\n"
                                    "Content-Length: 1073741825\r\nConnection: close\r\n\r\n"),
                     "HTTP/1.1 413 "));
  GatewaySettings settings;
  EXPECT_EQ(settings.proxy.body_bytes_max, uint64_t{1} << 30);
  settings.proxy.body_bytes_max = 10'000'000;  // a gigabyte takes a minute with sanitizers
  Echo small(settings);
  small.set_app("i1", swallow);
  std::string answer;
  small.run(send_without_end(small, answer));
  EXPECT_TRUE(starts(answer, "HTTP/1.1 413 ")) << answer;
}

TEST(GatewayCodes, 501ForConnect) {
  Echo world;
  EXPECT_TRUE(starts(world.exchange("CONNECT g.example:80 HTTP/1.1\r\nHost: g.example\r\n"
                                    "Connection: close\r\n\r\n"),
                     "HTTP/1.1 501 "));
}

TEST(GatewayCodes, 400AndTheEndForEveryEncodingButChunked) {
  Echo world;
  for (const char* encoding :
       {"identity", "xchunked", "", "\"chunked\"", "chunked, identity", "gzip, chunked"}) {
    // The body must not be taken for the next request.
    const std::string answer = world.exchange(
        fmt::format("POST / HTTP/1.1\r\nHost: g.example\r\nTransfer-Encoding: {}\r\n\r\n"
                    "GET /smuggled HTTP/1.1\r\nHost: g.example\r\n\r\n",
                    encoding));
    EXPECT_TRUE(starts(answer, "HTTP/1.1 400 ")) << encoding << answer;
    EXPECT_EQ(answer.find("HTTP/1.1", 10), std::string::npos) << answer;
  }
  EXPECT_EQ(world.connects, 0u);
}

TEST(GatewayCodes, 502ForRefusalResetAndNonsense) {
  Echo world;
  link::Route route = make_route(1);
  route.instances[0].instance_id = "nobody";
  world.set_routes({route});
  EXPECT_EQ(world.status(), "502 refused");
  world.set_routes({make_route(1)});
  world.set_app("i1", raw_app(world.clock, "", true));
  EXPECT_EQ(world.status(), "502 reset");
  world.set_app("i1", raw_app(world.clock, "HTTP/1.1 200 OK\r\nContent-", true));
  EXPECT_EQ(world.status(), "502 reset") << "in the middle of its head";
  world.set_app("i1", raw_app(world.clock, "HTTP/1.1 200 OK\r\nContent-", false));
  EXPECT_EQ(world.status(), "502 reset") << "an orderly end in the middle of its head";
  for (const char* answer :
       {"SSH-2.0-OpenSSH\r\n", "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello"}) {
    world.set_app("i1", raw_app(world.clock, answer, false));
    EXPECT_EQ(world.status(), "502 bad_response") << answer;
  }
  world.set_app("i1", raw_app(world.clock, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false));
  EXPECT_EQ(world.status(), "200 ") << "no reason phrase";
}

TEST(GatewayCodes, 504WhenNoConnectionIsTaken) {
  Echo world;
  world.connect_delay = 1h;
  const TimePoint before = world.clock.now();
  EXPECT_EQ(world.status(), "504 connect_timeout");
  EXPECT_LE(world.clock.now() - before, 5200ms);
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
}

Task<HttpResponse> answer_after(Clock& clock, Duration delay) {
  std::ignore = co_await clock.sleep_for(delay);
  co_return HttpResponse{};
}

TEST(GatewayCodes, 524WhenTheAnswerDoesNotComeInTime) {
  Echo world;
  link::Route route = make_route(1);
  route.server_response_timeout_ms = 3000;
  world.set_routes({route});
  Clock& clock = world.clock;
  world.set_app("i1", http_app(clock, [&clock](HttpRequest) { return answer_after(clock, 4s); }));
  const TimePoint before = clock.now();
  EXPECT_EQ(world.status(), "524 response_timeout");
  EXPECT_GE(clock.now() - before, 3s);
  EXPECT_LE(clock.now() - before, 3200ms);
  world.set_app("i1", http_app(clock, [&clock](HttpRequest) { return answer_after(clock, 2s); }));
  EXPECT_EQ(world.status(), "200 ");
}

TEST(GatewayCodes, BrowsersGetAPageAndProgramsAProblemObject) {
  Echo world;
  const std::string page = world.exchange(
      "GET / HTTP/1.1\r\nHost: x.example\r\nAccept: text/html,*/*;q=0.8\r\nConnection: "
      "close\r\n\r\n");
  EXPECT_NE(page.find("Content-Type: text/html"), std::string::npos);
  EXPECT_NE(page.find("X-Gateway-Error: unknown_host"), std::string::npos);
  EXPECT_NE(page.find("What to do"), std::string::npos);
  const std::string problem =
      world.exchange("GET / HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n");
  EXPECT_NE(problem.find("Content-Type: application/problem+json"), std::string::npos);
  const auto value = parse_json(problem.substr(problem.find("\r\n\r\n") + 4));
  ASSERT_TRUE(value);
  EXPECT_EQ(value->at("status").as_int64(), 404);
  EXPECT_EQ(value->at("type").as_string(), "unknown_host");
  EXPECT_TRUE(value->at("title").is_string());
  EXPECT_TRUE(value->at("detail").is_string());
}

TEST(GatewayCodes, EveryCodeHasAPageOfItsOwn) {
  std::set<std::string> pages;
  for (const int status : {400, 403, 404, 408, 410, 413, 500, 501, 502, 503, 504, 524}) {
    const std::string page = render({status, "reason", "<detail>"}, {.html = true});
    EXPECT_NE(page.find(fmt::format("HTTP/1.1 {} ", status)), std::string::npos);
    EXPECT_NE(page.find("&lt;detail&gt;"), std::string::npos);
    pages.insert(page.substr(page.find("</h1>")));
  }
  EXPECT_EQ(pages.size(), 12u);
}

}  // namespace
}  // namespace mesclun::gateway
