// Many clients against one service of fixed capacity, in virtual time. The clients are the real
// ones; the service is arithmetic.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/test_loop.h"
#include "client/fake_transport.h"
#include "client/load_runner.h"

namespace mesclun::client {
namespace {

struct ServiceSettings {
  size_t workers = 20;
  Duration work_min = 50ms;  // uniform
  Duration work_max = 150ms;
  size_t queue_max = 20;
  // What it costs a worker to say no: reading and parsing a request is a twentieth of the work.
  Duration refusal_work = 5ms;
  Duration network = 2ms;  // each way
  double slow_share = 0;   // of requests that take ten times as long
  std::string retry_after = {};

  // Requests a second.
  double capacity() const {
    return static_cast<double>(workers) / to_seconds((work_min + work_max) / 2);
  }
};

// Workers over a bounded queue, first come, first served; 503 when it is full. Work that nobody
// waits for any more is done all the same, as most servers do.
class Service final : public Transport {
 public:
  Service(Clock& clock, ServiceSettings settings, uint64_t seed)
      : clock_(clock),
        settings_(settings),
        random_(seed),
        free_at_(settings.workers, clock.now()) {}

  Task<Result<HttpReply>> send(HttpCall, TimePoint deadline) override {
    ++attempts;
    CO_TRY_DO(co_await clock_.sleep_for(settings_.network));
    const TimePoint done = take(clock_.now()) + settings_.network;
    const int status = refused_ ? 503 : 200;
    CO_TRY_DO(co_await clock_.sleep_until(std::min(done, deadline)));
    if (done > deadline) co_return Error::deadline("no answer in time");
    HttpReply reply{.status = status};
    if (status == 503 && !settings_.retry_after.empty()) {
      reply.headers.add("Retry-After", settings_.retry_after);
    }
    co_return reply;
  }

  uint64_t attempts = 0;
  uint64_t refusals = 0;
  // Everything is refused until then.
  TimePoint away_until = TimePoint::min();

 private:
  // When the answer is ready.
  TimePoint take(TimePoint now) {
    while (!starts_.empty() && starts_.front() <= now) starts_.pop_front();
    TimePoint& worker = *std::ranges::min_element(free_at_);
    refused_ = now < away_until || starts_.size() >= settings_.queue_max;
    if (refused_) {
      ++refusals;
      worker += settings_.refusal_work;
      return now;
    }
    const TimePoint start = std::max(now, worker);
    const auto spread = static_cast<uint64_t>((settings_.work_max - settings_.work_min).count());
    Duration work = settings_.work_min + Duration(static_cast<int64_t>(random_.below(spread + 1)));
    if (random_.chance(settings_.slow_share)) work *= 10;
    worker = start + work;
    if (start > now) starts_.push_back(start);
    return worker;
  }

  Clock& clock_;
  const ServiceSettings settings_;
  SeededRandom random_;
  std::vector<TimePoint> free_at_;
  std::deque<TimePoint> starts_;  // of those in the queue
  bool refused_ = false;          // the one that take() was called for last
};

constexpr Duration kTimeout = 2s;
constexpr Duration kLength = 25s;
// The limits begin at 8 per client and find their place within seconds.
constexpr Duration kSettling = 5s;

struct Tally {
  uint64_t offered = 0;
  uint64_t ok = 0;
  uint64_t ok_settled = 0;  // answered between kSettling and kLength
  uint64_t attempts = 0;
  uint64_t refusals = 0;
  LatencyWindow latencies;
  uint64_t trace = 0xcbf29ce484222325;  // FNV-1a over all that happened, in order

  double goodput() const {
    return static_cast<double>(ok_settled) / to_seconds(kLength - kSettling);
  }
  double attempts_per_request() const {
    return static_cast<double>(attempts) / static_cast<double>(offered);
  }
  void add(TimePoint start, const TrafficAnswer& answer) {
    const TimePoint end = answer.started + answer.latency;
    ++offered;
    for (const int64_t value :
         {end.time_since_epoch().count(), int64_t{answer.reply.status}, int64_t{answer.attempts}}) {
      trace = (trace ^ static_cast<uint64_t>(value)) * 0x100000001b3;
    }
    if (!answer.ok()) return;
    ++ok;
    latencies.record(answer.latency);
    if (end >= start + kSettling && end < start + kLength) ++ok_settled;
  }
};

// What most programs do: no limit, three attempts, at once.
Task<Result<>> naive_request(Clock& clock, Service& service, TimePoint start, Tally& tally) {
  TrafficAnswer answer{.started = clock.now()};
  const TimePoint deadline = clock.now() + kTimeout;
  while (answer.attempts < 3 && clock.now() < deadline) {
    ++answer.attempts;
    HttpCall call;
    Result<HttpReply> reply = co_await service.send(std::move(call), deadline);
    if (!reply) continue;
    answer.verdict = reply->status == 200 ? Verdict::Ok : Verdict::Refused;
    answer.reply = std::move(*reply);
    if (answer.ok()) break;
  }
  answer.latency = clock.now() - answer.started;
  tally.add(start, answer);
  co_return Result<>();
}

Task<Result<>> naive_client(Clock& clock, Service& service, double rate, Tally& tally) {
  Scope requests(co_await asio::this_coro::executor, "naive");
  const TimePoint start = clock.now();
  for (int i = 0;; ++i) {
    const TimePoint due = start + Duration(static_cast<int64_t>(i / rate * 1e9));
    if (due >= start + kLength) break;
    CO_TRY_DO(co_await clock.sleep_until(due));
    requests.spawn(naive_request(clock, service, start, tally));
  }
  co_await requests.drain();
  co_return Result<>();
}

Task<Result<>> careful_client(Clock& clock, Service& service, double rate, uint64_t seed,
                              TrafficSettings settings, Tally& tally) {
  const TimePoint start = clock.now();
  SeededRandom random(seed);
  // Clients are not in step.
  CO_TRY_DO(co_await clock.sleep_for(Duration(static_cast<int64_t>(random.below(100'000'000)))));
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  TrafficClient client(executor, clock, random, service, settings);
  LoadPlan plan{.duration = kLength, .rate = rate, .timeout = kTimeout};
  LoadRunner runner(executor, clock, client, std::move(plan),
                    [&](LoadOutcome outcome) { tally.add(start, outcome.answer); });
  co_return co_await runner.run();
}

struct Scenario {
  double load = 2;  // times the capacity
  size_t clients = 8;
  bool naive = false;
  Duration away{0};
  ServiceSettings service;
  TrafficSettings traffic;
};

Tally simulate(Scenario scenario, uint64_t seed) {
  VirtualLoop loop;
  Service service(loop.clock, scenario.service, seed);
  service.away_until = loop.clock.now() + scenario.away;
  Tally tally;
  const double rate =
      scenario.load * scenario.service.capacity() / static_cast<double>(scenario.clients);
  {
    Scope clients(loop.executor(), "clients");
    for (size_t i = 0; i < scenario.clients; ++i) {
      clients.spawn(scenario.naive ? naive_client(loop.clock, service, rate, tally)
                                   : careful_client(loop.clock, service, rate, seed * 1000 + i,
                                                    scenario.traffic, tally));
    }
    loop.clock.run_while_not([&] { return clients.running() == 0; }, 10 * kLength);
    EXPECT_EQ(clients.running(), 0u);
  }
  tally.attempts = service.attempts;
  tally.refusals = service.refusals;
  return tally;
}

void print(const char* who, const Tally& tally, double capacity) {
  fmt::print(
      "{:<8} goodput {:5.1f} % of capacity, {:.2f} attempts per request, {} refused by the "
      "service, p50 {} ms, p99 {} ms\n",
      who, 100 * tally.goodput() / capacity, tally.attempts_per_request(), tally.refusals,
      to_millis(tally.latencies.quantile(0.5)), to_millis(tally.latencies.quantile(0.99)));
}

// Goal: clients that are offered twice what the service can do still get nearly all that it can do
// out of it, and send hardly more than they must. Method: eight clients, 400 requests a second
// against a capacity of 200; beside them the same load from clients that retry at once, whose
// refused attempts eat a part of the service.
TEST(Simulation, NoRetryStormAtTwiceTheCapacity) {
  const double capacity = ServiceSettings{}.capacity();
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Scenario scenario;
    const Tally careful = simulate(scenario, seed);
    scenario.naive = true;
    const Tally naive = simulate(scenario, seed);
    print("careful", careful, capacity);
    print("naive", naive, capacity);
    EXPECT_GE(careful.goodput(), 0.95 * capacity) << "seed " << seed;
    EXPECT_LE(careful.attempts_per_request(), 1.2) << "seed " << seed;
    EXPECT_GE(naive.attempts_per_request(), 1.8) << "seed " << seed;
    EXPECT_LE(naive.goodput(), 0.9 * capacity) << "seed " << seed;
    EXPECT_LE(10 * careful.refusals, naive.refusals) << "seed " << seed;
  }
}

// One client alone, with the whole limit to itself, does as well.
TEST(Simulation, OneClientAtTwiceTheCapacity) {
  Scenario scenario{.clients = 1};
  const double capacity = scenario.service.capacity();
  const Tally tally = simulate(scenario, 1);
  print("alone", tally, capacity);
  EXPECT_GE(tally.goodput(), 0.95 * capacity);
  EXPECT_LE(tally.attempts_per_request(), 1.2);
}

// A service that says Retry-After: 1 is taken at its word by whom it told. The others go on, so its
// workers hardly run dry; and there is no storm when the second is over.
TEST(Simulation, RetryAfterAtTwiceTheCapacity) {
  Scenario scenario{.clients = 32};
  scenario.service.retry_after = "1";
  const double capacity = scenario.service.capacity();
  const Tally tally = simulate(scenario, 1);
  print("told 1 s", tally, capacity);
  EXPECT_GE(tally.goodput(), 0.85 * capacity);
  EXPECT_LE(tally.attempts_per_request(), 1.2);
}

TEST(Simulation, BelowTheCapacityNothingIsRefused) {
  Scenario scenario{.load = 0.7};
  const Tally tally = simulate(scenario, 1);
  print("at 0.7", tally, scenario.service.capacity());
  EXPECT_GE(static_cast<double>(tally.ok), 0.999 * static_cast<double>(tally.offered));
  EXPECT_LE(tally.attempts_per_request(), 1.01);
}

// The service refuses everything for 5 s. Its clients must neither storm it meanwhile nor stay away
// afterwards: of the 20 s that follow they use most.
TEST(Simulation, ComesBackAfterAnOutage) {
  Scenario scenario{.load = 0.9, .away = 5s};
  const double capacity = scenario.service.capacity();
  const Tally tally = simulate(scenario, 1);
  print("outage", tally, capacity);
  EXPECT_GE(tally.goodput(), 0.8 * capacity);
  EXPECT_LE(tally.attempts_per_request(), 1.1);
}

// One request in fifty takes ten times as long. A second copy after the 95th percentile makes the
// tail short, for a tenth more attempts at most.
TEST(Simulation, HedgingCutsTheTailWithinItsBudget) {
  Scenario scenario{.load = 0.4};
  scenario.service.slow_share = 0.02;
  const Tally plain = simulate(scenario, 1);
  scenario.traffic.hedge_quantile = 0.95;
  const Tally hedged = simulate(scenario, 1);
  print("plain", plain, scenario.service.capacity());
  print("hedged", hedged, scenario.service.capacity());
  EXPECT_LE(hedged.latencies.quantile(0.99), plain.latencies.quantile(0.99) / 2);
  EXPECT_LE(hedged.attempts_per_request(), 1.1 + 0.01);
}

TEST(Simulation, SameSeedSameTrace) {
  Scenario scenario;
  scenario.traffic.hedge_quantile = 0.9;
  const Tally first = simulate(scenario, 42);
  const Tally second = simulate(scenario, 42);
  EXPECT_EQ(first.trace, second.trace);
  EXPECT_EQ(first.attempts, second.attempts);
  EXPECT_NE(first.trace, simulate(scenario, 43).trace);
}

}  // namespace
}  // namespace mesclun::client
