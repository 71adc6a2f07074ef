// One client over a fake transport, in virtual time.
#include "client/traffic_client.h"

#include "base/test_loop.h"
#include "client/fake_transport.h"
#include "client/load_runner.h"

namespace mesclun::client {
namespace {

// A loop, a transport and a client, and what the requests came to.
struct Bench {
  Bench(TrafficSettings settings, FakeTransport::Script script)
      : transport(loop.clock, std::move(script)),
        client(loop.executor(), loop.clock, random, transport, settings) {}

  Task<Result<>> one(TrafficRequest request) {
    CO_TRY(TrafficAnswer answer, co_await client.request(std::move(request)));
    answers.push_back(std::move(answer));
    co_return Result<>();
  }
  const TrafficAnswer& run(Duration timeout = 30s) {
    loop.run(one({.call = {.target = "/x"}, .timeout = timeout}));
    return answers.back();
  }
  void post() { loop.run(one({.call = {.method = "POST", .target = "/x"}, .timeout = 30s})); }
  // `count` at once; returns when all are answered.
  void run_many(int count, Duration timeout) { loop.run(many(count, timeout)); }
  Task<Result<>> many(int count, Duration timeout) {
    Scope scope(loop.executor(), "many");
    for (int i = 0; i < count; ++i) scope.spawn(one({.timeout = timeout}));
    co_await scope.drain();
    co_return Result<>();
  }
  Task<Result<>> load(LoadPlan plan) {
    LoadRunner runner(loop.executor(), loop.clock, client, std::move(plan),
                      [this](LoadOutcome outcome) {
                        indices.push_back(outcome.index);
                        answers.push_back(std::move(outcome.answer));
                      });
    co_return co_await runner.run();
  }
  size_t ok() const {
    return static_cast<size_t>(std::ranges::count_if(answers, &TrafficAnswer::ok));
  }

  VirtualLoop loop;
  SeededRandom random{1};
  FakeTransport transport;
  TrafficClient client;
  std::vector<TrafficAnswer> answers;
  std::vector<uint64_t> indices;
};

TEST(TrafficClient, RetriesUntilAnAnswer) {
  Bench bench({}, [](const HttpCall&, size_t n) { return fake_answer(n < 2 ? 502 : 200); });
  const TrafficAnswer& answer = bench.run();
  EXPECT_TRUE(answer.ok());
  EXPECT_EQ(answer.attempts, 3);
  EXPECT_EQ(answer.error, "");
  EXPECT_GE(answer.latency, 30ms);
}

TEST(TrafficClient, APostIsSentAgainOnlyByTheSetting) {
  const Error refused{ErrorCode::Unavailable, "refused", Cause::Unreachable};
  for (const int status : {0, 429, 502, 503}) {
    for (const bool unsafe : {false, true}) {
      Bench bench({.retry_unsafe = unsafe}, [&](const HttpCall&, size_t) {
        return status == 0 ? FakeTransport::Answer{refused, 1ms} : fake_answer(status);
      });
      bench.post();
      EXPECT_EQ(bench.answers.back().attempts, unsafe ? 3 : 1) << status;
    }
  }
}

TEST(TrafficClient, SaysWhyItGaveUp) {
  Bench bench({}, [](const HttpCall&, size_t) {
    HttpReply reply{.status = 503};
    reply.headers.add("X-Gateway-Error", "no_instance");
    return FakeTransport::Answer{std::move(reply), 1ms};
  });
  const TrafficAnswer& answer = bench.run();
  EXPECT_EQ(answer.attempts, 3);
  EXPECT_EQ(answer.failure, "503 no_instance");
  EXPECT_EQ(answer.error, "the server answered 503 Service Unavailable (gateway: no_instance)");
}

TEST(TrafficClient, NeverRetriesTheCallersMistake) {
  Bench bench({}, [](const HttpCall&, size_t) { return fake_answer(404); });
  EXPECT_EQ(bench.run().attempts, 1);
  EXPECT_EQ(bench.answers[0].reply.status, 404);
}

TEST(TrafficClient, SendsWhatIsLeftOfTheTime) {
  Bench bench({}, [](const HttpCall&, size_t n) { return fake_answer(n == 0 ? 500 : 200, 400ms); });
  bench.run(2s);
  ASSERT_EQ(bench.transport.sent.size(), 2u);
  const auto left = [&](size_t i) {
    const HeaderList& headers = bench.transport.sent[i].call.headers;
    return std::stoi(std::string(headers.find("X-Request-Timeout-Ms").value_or("0")));
  };
  EXPECT_EQ(left(0), 2000);
  EXPECT_LE(left(1), 1600);
  EXPECT_GE(left(1), 1500);
}

TEST(TrafficClient, EndsAtTheDeadline) {
  Bench bench({}, [](const HttpCall&, size_t) { return fake_answer(200, 1h); });
  const TrafficAnswer& answer = bench.run(3s);
  EXPECT_EQ(answer.failure, "timeout");
  EXPECT_EQ(answer.latency, 3s);
  EXPECT_EQ(bench.client.controller().in_flight(), 0u);
}

TEST(TrafficClient, KeepsToTheLimitAndTheOrder) {
  Bench bench({.concurrency = 3, .concurrency_max = 3},
              [](const HttpCall&, size_t) { return fake_answer(200, 100ms); });
  bench.run_many(30, 30s);
  EXPECT_EQ(bench.ok(), 30u);
  EXPECT_EQ(bench.transport.in_flight_peak, 3u);
  EXPECT_TRUE(std::ranges::is_sorted(bench.answers, {}, &TrafficAnswer::latency));
  EXPECT_EQ(bench.answers.back().latency, 1s);
}

TEST(TrafficClient, WaitsAsTheServerAsked) {
  Bench bench({}, [](const HttpCall&, size_t n) {
    FakeTransport::Answer answer = fake_answer(n == 0 ? 429 : 200);
    if (n == 0) answer.reply->headers.add("Retry-After", "4");
    return answer;
  });
  EXPECT_TRUE(bench.run().ok());
  EXPECT_GE(bench.transport.sent[1].at - bench.transport.sent[0].at, 4s);
  EXPECT_LE(bench.transport.sent[1].at - bench.transport.sent[0].at, 5100ms);
}

TEST(TrafficClient, RefusesEarlyInsteadOfQueueing) {
  Bench bench({.concurrency = 1, .concurrency_max = 1, .waiting_max = 10},
              [](const HttpCall&, size_t) { return fake_answer(200, 100ms); });
  bench.run_many(20, 30s);
  EXPECT_EQ(bench.ok(), 11u) << "one under way and ten in line";
  EXPECT_EQ(bench.answers[0].failure, "refused_early");
  EXPECT_EQ(bench.answers[0].latency, 0s);
  EXPECT_EQ(bench.answers[0].attempts, 0);
}

TEST(TrafficClient, StopRefusesWhoWaitsAndLetsTheRestFinish) {
  Bench bench({.concurrency = 2, .concurrency_max = 2},
              [](const HttpCall&, size_t) { return fake_answer(200, 1s); });
  Scope scope(bench.loop.executor(), "test");
  for (int i = 0; i < 5; ++i) scope.spawn(bench.one({}));
  bench.loop.clock.run_for(500ms);
  bench.client.stop();
  bench.loop.clock.run_for(1s);
  EXPECT_EQ(bench.ok(), 2u);
  EXPECT_EQ(bench.answers.size(), 5u);
  EXPECT_EQ(bench.answers[0].failure, "stopped");
  EXPECT_EQ(scope.running(), 0u);
}

TEST(TrafficClient, CancelledRequestsGiveTheirPlaceBack) {
  Bench bench({.concurrency = 2, .concurrency_max = 2},
              [](const HttpCall&, size_t) { return fake_answer(200, 1h); });
  Scope scope(bench.loop.executor(), "test");
  for (int i = 0; i < 5; ++i) scope.spawn(bench.one({}));
  bench.loop.clock.run_for(1s);
  EXPECT_EQ(bench.client.waiting(), 3u);
  scope.cancel();
  bench.loop.clock.run_for(1s);
  EXPECT_EQ(scope.running(), 0u);
  EXPECT_EQ(bench.client.waiting(), 0u);
  EXPECT_EQ(bench.client.controller().in_flight(), 0u);
}

TEST(Hedging, SecondCopyWinsAndTheFirstIsCancelled) {
  Bench bench({.hedge_quantile = 0.95},
              [](const HttpCall&, size_t n) { return fake_answer(200, n == 30 ? 10s : 20ms); });
  for (int i = 0; i < 30; ++i) EXPECT_FALSE(bench.run().hedged);
  const TrafficAnswer& slow = bench.run();
  EXPECT_TRUE(slow.ok());
  EXPECT_TRUE(slow.hedged);
  EXPECT_TRUE(slow.hedge_won);
  EXPECT_EQ(slow.attempts, 2);
  EXPECT_EQ(slow.latency, 40ms);
  EXPECT_EQ(bench.transport.cancelled, 1u);
  EXPECT_EQ(bench.client.controller().in_flight(), 0u);
}

TEST(Hedging, NeverDoesTwiceWhatMayNotBe) {
  Bench bench({.hedge_quantile = 0.95},
              [](const HttpCall&, size_t n) { return fake_answer(200, n == 30 ? 1s : 20ms); });
  for (int i = 0; i < 31; ++i) bench.post();
  EXPECT_EQ(bench.answers.back().latency, 1s);
  EXPECT_FALSE(bench.answers.back().hedged);
}

TEST(Hedging, AFailedCopyWaitsForTheOther) {
  // The 31st request: the first copy fails after its hedge was sent, and the hedge answers later.
  Bench bench({.hedge_quantile = 0.95}, [](const HttpCall&, size_t n) {
    if (n == 30) return fake_answer(502, 50ms);
    return fake_answer(200, n == 31 ? 100ms : 20ms);
  });
  for (int i = 0; i < 30; ++i) bench.run();
  const TrafficAnswer& answer = bench.run();
  EXPECT_TRUE(answer.ok());
  EXPECT_EQ(answer.attempts, 2);
  EXPECT_EQ(answer.latency, 120ms);
}

TEST(Hedging, NeverCostsMoreThanTheBudget) {
  // From the 31st attempt on all are slow: every request would like a second copy.
  Bench bench({.concurrency = 500, .concurrency_max = 500, .hedge_quantile = 0.5},
              [](const HttpCall&, size_t n) { return fake_answer(200, n < 30 ? 20ms : 10s); });
  for (int i = 0; i < 30; ++i) bench.run();
  bench.run_many(100, 1h);
  const TrafficCounts& counts = bench.client.controller().counts();
  EXPECT_EQ(counts.first, 130u);
  EXPECT_GT(counts.hedges, 0u);
  EXPECT_LE(counts.hedges, 10u + 13u);
  EXPECT_EQ(bench.transport.sent.size(), counts.attempts());
}

TEST(LoadRunner, ClosedLoopSendsEachBodyInTurn) {
  Bench bench({.concurrency = 2, .concurrency_max = 4}, [](const HttpCall& call, size_t) {
    return fake_answer(call.body == "bad" ? 400 : 200, 100ms);
  });
  LoadPlan plan{.bodies = {"a", "bad", "c"}, .requests = 9, .workers = 4};
  bench.loop.run(bench.load(std::move(plan)));
  EXPECT_EQ(bench.answers.size(), 9u);
  EXPECT_EQ(bench.ok(), 6u);
  EXPECT_LE(bench.transport.in_flight_peak, 4u);
  std::ranges::sort(bench.indices);
  for (uint64_t i = 0; i < 9; ++i) EXPECT_EQ(bench.indices[i], i);
}

TEST(LoadRunner, DurationEndsAClosedLoop) {
  Bench bench({.concurrency = 2, .concurrency_max = 2},
              [](const HttpCall&, size_t) { return fake_answer(200, 100ms); });
  const TimePoint start = bench.loop.clock.now();
  LoadPlan plan{.duration = 10s, .workers = 50};
  bench.loop.run(bench.load(std::move(plan)));
  EXPECT_EQ(bench.ok(), 200u);
  EXPECT_EQ(bench.answers.size(), 200u) << "who waited for a turn at the end was not begun";
  EXPECT_EQ(bench.loop.clock.now() - start, 10s);
}

TEST(LoadRunner, CancelledRunGivesUpAndReportsIt) {
  for (const double rate : {0.0, 10.0}) {
    Bench bench({.concurrency = 3}, [](const HttpCall&, size_t) { return fake_answer(200, 1h); });
    LoadPlan plan{.requests = 3, .rate = rate, .timeout = 2h};
    Scope scope(bench.loop.executor(), "test");
    scope.spawn(bench.load(std::move(plan)));
    bench.loop.clock.run_for(10s);
    scope.cancel();
    bench.loop.clock.run_for(1s);
    EXPECT_EQ(scope.running(), 0u);
    ASSERT_EQ(bench.answers.size(), 3u);
    EXPECT_EQ(bench.answers[0].failure, "given_up");
  }
}

TEST(LoadRunner, OpenLoopKeepsItsPace) {
  Bench bench({}, [](const HttpCall&, size_t) { return fake_answer(200, 20ms); });
  const TimePoint start = bench.loop.clock.now();
  LoadPlan plan{.duration = 10s, .rate = 50};
  bench.loop.run(bench.load(std::move(plan)));
  EXPECT_EQ(bench.ok(), 500u);
  EXPECT_EQ(bench.transport.sent[100].at - start, 2s);
}

// Goal: a batch survives a service that is away for a while. Method: a closed loop of 2,000 short
// requests; all are refused at once between the 5th and the 15th second.
TEST(LoadRunner, AnOutageCostsFewRequestsOfAClosedLoop) {
  TimePoint start;
  Clock* clock = nullptr;
  Bench bench({}, [&](const HttpCall&, size_t) {
    const Duration at = clock->now() - start;
    return at > 5s && at < 15s ? fake_answer(503, 1ms) : fake_answer(200, 200ms);
  });
  clock = &bench.loop.clock;
  start = clock->now();
  LoadPlan plan{.requests = 2000};
  bench.loop.run(bench.load(std::move(plan)));
  const TrafficCounts& counts = bench.client.controller().counts();
  EXPECT_EQ(bench.answers.size(), 2000u);
  EXPECT_LE(2000 - bench.ok(), 120u);
  EXPECT_LE(counts.retries, 10u + 200u);
  EXPECT_LE(clock->now() - start, 60s);
}

}  // namespace
}  // namespace mesclun::client
