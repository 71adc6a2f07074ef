// Requests that are sent once more, and the algorithm that moves them, through the whole gateway.
#include "gateway/retry.h"

#include <fmt/format.h>

#include "base/random.h"
#include "gateway/test_world.h"

namespace mesclun::gateway {
namespace {

link::Route adaptive_route(int instances) {
  link::Route route = make_route(instances);
  route.adaptive = true;
  route.least_connections = true;
  return route;
}

// Answers everything with `answer`, and counts.
struct CountingApp {
  std::string answer;
  int served = 0;
  std::string last;  // the whole request that came last

  App app(Clock& clock) {
    return [this, &clock](ConnPtr conn) {
      return http_app(clock, [this](HttpRequest request) -> Task<HttpResponse> {
        ++served;
        last = request.body;
        HttpResponse response;
        response.status = 200;
        response.body = answer;
        co_return response;
      })(std::move(conn));
    };
  }
};

Task<Result<>> expect_status(TestWorld& world, HttpCall call, std::string expected) {
  CO_TRY(const HttpReply reply, co_await gateway::call(world, std::move(call)));
  EXPECT_EQ(
      fmt::format("{} {}", reply.status, reply.headers.find(kGatewayErrorHeader).value_or("")),
      expected);
  co_return Result<>();
}

uint64_t retries(TestWorld& world, RetryCause cause) {
  return world.group("g.example").stats.retries[static_cast<size_t>(cause)];
}

// "i1" breaks off, "i2" serves.
struct BreakingWorld : TestWorld {
  explicit BreakingWorld(GatewaySettings settings = {}, link::Route route = make_route(2))
      : TestWorld(settings) {
    add_node("m1");
    add_node("m2");
    set_routes({std::move(route)});
    set_app("i1", raw_app(clock, "", true));
    set_app("i2", good.app(clock));
  }
  CountingApp good{.answer = "good"};
};

TEST(Retry, AnotherInstanceAnswersWhatMayBeRepeated) {
  BreakingWorld world;
  // Round robin: the first of each two goes to i1.
  world.run(expect_status(world, {.method = "GET"}, "200 "));
  EXPECT_EQ(retries(world, RetryCause::BrokenOff), 1u);
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
}

TEST(Retry, NeverOfWhatMayHaveBeenDone) {
  BreakingWorld world;
  world.run(expect_status(world, {.method = "POST", .headers = {}, .body = "x"}, "502 reset"));
  EXPECT_EQ(world.good.served, 0);
  HttpCall marked{.method = "POST", .headers = {}, .body = "y"};
  marked.headers.add("Idempotency-Key", "7");
  world.run(expect_status(world, {.method = "GET"}, "200 "));  // i2's turn
  world.run(expect_status(world, std::move(marked), "200 "));
  EXPECT_EQ(world.good.last, "y");
}

TEST(Retry, NeverAtAnInstanceThatHasFailedAlready) {
  BreakingWorld world;
  world.set_app("i2", raw_app(world.clock, "", true));
  const auto body = [](TestWorld& w) -> Task<Result<>> {
    co_return co_await expect_status(w, {.method = "GET"}, "502 reset");
  };
  world.run(body(world));
  EXPECT_EQ(world.connects, 2u) << "each once";
}

TEST(Retry, NothingOfAnAnswerHasBeenSeen) {
  BreakingWorld world;
  world.set_app("i1", raw_app(world.clock, "HTTP/1.1 200 OK\r\nContent-Le", true));
  world.run(expect_status(world, {.method = "GET"}, "502 reset"));
}

TEST(Retry, EndsWithTheBudget) {
  GatewaySettings settings;
  settings.proxy.retry.share = 0;
  BreakingWorld none(settings);
  none.run(expect_status(none, {.method = "GET"}, "502 reset"));
  EXPECT_EQ(none.group("g.example").stats.retries_denied, 1u);

  RetryBudget budget({.share = 0.1, .reserve = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(budget.spend());
  EXPECT_FALSE(budget.spend());
  for (int i = 0; i < 11; ++i) budget.earn();
  EXPECT_TRUE(budget.spend());
  EXPECT_FALSE(budget.spend());
  for (int i = 0; i < 1000; ++i) budget.earn();
  int spent = 0;
  while (budget.spend()) ++spent;
  EXPECT_EQ(spent, 3) << "no more than the reserve is saved";
}

TEST(Retry, OnlyWhatIsSafe) {
  const RetryRule rule{.tries_max = 3};
  const RetryFacts good{.repeatable = true, .kept = true, .tries = 1};
  EXPECT_TRUE(may_retry(good, rule));
  RetryFacts facts = good;
  facts.answered = true;
  EXPECT_FALSE(may_retry(facts, rule));
  facts = good;
  facts.kept = false;
  EXPECT_FALSE(may_retry(facts, rule));
  facts = good;
  facts.tries = 3;
  EXPECT_FALSE(may_retry(facts, rule));
  facts = good;
  facts.repeatable = false;
  EXPECT_FALSE(may_retry(facts, rule));
  facts.refused = true;
  EXPECT_FALSE(may_retry(facts, rule)) << "it broke off, whatever it said";
  facts.cause = RetryCause::Busy;
  EXPECT_TRUE(may_retry(facts, rule)) << "the application has not seen it";
}

Task<Result<>> put_in_pieces(TestWorld& world, size_t pieces, std::string expected) {
  const ConnPtr conn = world.connect();
  const std::string piece(1000, 'p');
  CO_TRY_DO(co_await conn->write(fmt::format(
      "PUT / HTTP/1.1\r\nHost: g.example\r\nContent-Length: {}\r\n\r\n", pieces * piece.size())));
  for (size_t i = 0; i < pieces; ++i) {
    CO_TRY_DO(co_await world.clock.sleep_for(10ms));
    CO_TRY_DO(co_await conn->write(piece));
  }
  CO_TRY(const std::string head, co_await read_until(*conn, "\r\n\r\n"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 " + expected)) << head;
  co_return Result<>();
}

// Reads a request with a body whole, and breaks off.
App reads_all_and_breaks(size_t bytes) {
  return [bytes](ConnPtr conn) -> Task<Result<>> {
    CO_TRY_DO(co_await read_until(*conn, "\r\n\r\n"));
    std::string body(4096, '\0');
    for (size_t got = 0; got < bytes;) {
      CO_TRY(const size_t more, co_await conn->read_some(asio::buffer(body)));
      if (more == 0) break;
      got += more;
    }
    conn->abort();
    co_return Result<>();
  };
}

TEST(Retry, ABodyThatCameInPiecesIsKeptUpToABound) {
  for (const auto& [pieces, expected] : {std::pair{20, "200"}, std::pair{100, "502"}}) {
    BreakingWorld world;
    const auto count = static_cast<size_t>(pieces);
    world.set_app("i1", reads_all_and_breaks(count * 1000));
    world.run(put_in_pieces(world, count, expected));
    if (pieces == 20) EXPECT_EQ(world.good.last, std::string(20'000, 'p'));
  }
}

const std::string kBusy = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
const std::string kQueueFull =
    "HTTP/1.1 429 Full\r\nX-Mesclun-App: queue_full\r\nContent-Length: 0\r\n\r\n";

TEST(Adaptive, AnotherInstanceTakesWhatOneIsTooBusyFor) {
  BreakingWorld world({}, adaptive_route(2));
  world.set_app("i1", raw_app(world.clock, kBusy, false));
  for (int i = 0; i < 4; ++i) world.run(expect_status(world, {.method = "GET"}, "200 "));
  EXPECT_GE(retries(world, RetryCause::Busy), 1u);
}

TEST(Adaptive, ForeignRefusalsOfWhatMayNotBeRepeatedAreTheClients) {
  BreakingWorld world({}, adaptive_route(1));
  world.set_app("i1", raw_app(world.clock, kBusy, false));
  world.run(expect_status(world, {.method = "POST", .headers = {}, .body = "x"}, "503 "));
}

TEST(Adaptive, TheCompanionSaysThatNothingWasDone) {
  BreakingWorld world({}, adaptive_route(2));
  world.set_app("i1", raw_app(world.clock, kQueueFull, false));
  for (int i = 0; i < 4; ++i) {
    world.run(expect_status(world, {.method = "POST", .headers = {}, .body = "x"}, "200 "));
  }
}

TEST(Adaptive, WhereAllAreBusyTheLastAnswerCounts) {
  BreakingWorld world({}, adaptive_route(2));
  world.set_app("i1", raw_app(world.clock, kQueueFull, false));
  world.set_app("i2", raw_app(world.clock, kQueueFull, false));
  world.run(expect_status(world, {.method = "GET"}, "429 "));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
}

TEST(Retry, TheOtherAlgorithmsPassOnWhatApplicationsSay) {
  BreakingWorld world;
  world.set_app("i1", raw_app(world.clock, kQueueFull, false));
  world.run(expect_status(world, {.method = "GET"}, "429 "));
}

TEST(Adaptive, OneThatFailsMoreThanTheOthersRests) {
  BreakingWorld world({}, adaptive_route(2));
  CountingApp bad{.answer = "bad"};
  int failures = 0;
  world.set_app("i1", http_app(world.clock, [&](HttpRequest) -> Task<HttpResponse> {
                  ++failures;
                  HttpResponse response;
                  response.status = 500;
                  co_return response;
                }));
  const auto body = [](TestWorld& w) -> Task<Result<>> {
    for (int i = 0; i < 200; ++i) {
      CO_TRY_DO(co_await gateway::call(w, {.method = "GET"}));
      CO_TRY_DO(co_await w.clock.sleep_for(10ms));
    }
    co_return Result<>();
  };
  world.run(body(world));
  EXPECT_EQ(failures, 5);
  EXPECT_EQ(world.group("g.example").stats.ejections, 1u);
  EXPECT_EQ(world.good.served, 195);
}

TEST(Adaptive, ALoadReportIsForTheGatewayOnly) {
  BreakingWorld world({}, adaptive_route(1));
  world.set_app("i1", raw_app(world.clock,
                              "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nEndpoint-Load-Metrics: TEXT "
                              "application_utilization=0.5, named_metrics.places=3\r\n\r\n",
                              false));
  const auto body = [](TestWorld& w) -> Task<Result<>> {
    CO_TRY(const HttpReply reply, co_await gateway::call(w, {.method = "GET"}));
    EXPECT_EQ(reply.status, 200);
    EXPECT_FALSE(reply.headers.has("Endpoint-Load-Metrics"));
    co_return Result<>();
  };
  world.run(body(world));
  const Instance& instance = *world.group("g.example").instances()[0];
  EXPECT_EQ(instance.standing->candidate(world.clock.now(), 1).width, 3);
}

Task<Result<>> slow_answer(Clock& clock, HttpResponse& response) {
  CO_TRY_DO(co_await clock.sleep_for(1s));
  response.status = 200;
  co_return Result<>();
}

TEST(Group, SettingsChangeUnderRequests) {
  TestWorld world;
  world.add_node("m1");
  world.add_node("m2");
  for (const std::string id : {"i1", "i2"}) {
    world.set_app(id, http_app(world.clock, [&](HttpRequest) -> Task<HttpResponse> {
                    HttpResponse response;
                    std::ignore = co_await slow_answer(world.clock, response);
                    co_return response;
                  }));
  }
  const auto body = [](TestWorld& w) -> Task<Result<>> {
    int answered = 0;
    const auto one = [](TestWorld& there, int* count) -> Task<Result<>> {
      CO_TRY(const HttpReply reply, co_await gateway::call(there, {.method = "GET"}));
      EXPECT_EQ(reply.status, 200);
      ++*count;
      co_return Result<>();
    };
    SeededRandom random(3);
    for (int i = 0; i < 200; ++i) {
      link::Route route = make_route(2);
      route.adaptive = random.chance(0.5);
      route.least_connections = route.adaptive || random.chance(0.5);
      route.single_connection_limit = random.chance(0.3);
      w.set_routes({std::move(route)});
      w.spawn(one(w, &answered));
      CO_TRY_DO(co_await w.clock.sleep_for(200ms));
    }
    w.set_routes({make_route(2)});
    CO_TRY_DO(co_await w.clock.sleep_for(60s));
    EXPECT_EQ(answered, 200);
    co_return Result<>();
  };
  world.run(body(world));
  EXPECT_EQ(world.group("g.example").in_flight(), 0u);
  EXPECT_EQ(world.group("g.example").waiting(), 0u);
}

}  // namespace
}  // namespace mesclun::gateway
