// Answers byte by byte: what the application writes, and what the caller reads.
#include "companion/relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "base/service.h"
#include "base/test_loop.h"
#include "companion/front_server.h"

namespace mesclun::companion {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class RelayTest : public ::testing::Test, public FrontObserver {
 protected:
  RelayTest() {
    judge.started(loop.clock.now());
    pages.emplace(loop.clock, config, judge, &front, [] { return MonitorStatus{}; });
    server.emplace(loop.executor(), front, *pages);
  }
  void TearDown() override { loop.run(stop()); }
  Task<Result<>> stop() {
    co_await front.stop();
    co_await server->stop();
    co_await applications.stop();
    co_await callers.stop();
    co_return Result<>();
  }

  Task<Result<ConnPtr>> dial() {
    auto [ours, its] = memory_conn_pair(loop.executor(), loop.clock);
    applications.spawn(application(std::move(its)));
    ConnPtr conn = std::move(ours);
    co_return conn;
  }
  // Reads heads, nothing of bodies, and writes the answer to each at once.
  Task<Result<>> application(ConnPtr conn) {
    ++dials;
    for (int served = 0; served < answers_a_connection; ++served) {
      std::string head;
      char byte = 0;
      while (!head.ends_with("\r\n\r\n")) {
        CO_TRY(const size_t n, co_await conn->read_some(asio::buffer(&byte, 1)));
        if (n == 0) co_return Result<>();
        head += byte;
      }
      asked += head;
      ++requests;
      if (served == dies_of) co_return Result<>();
      CO_TRY_DO(co_await loop.clock.sleep_for(thinks));
      CO_TRY_DO(co_await conn->write(answer));
      CO_TRY_DO(co_await loop.clock.sleep_for(1ms));
      CO_TRY_DO(co_await conn->write(stray));
    }
    if (lingers) co_await until_cancelled();
    co_return Result<>();
  }

  ConnPtr connect() {
    auto [ours, its] = memory_conn_pair(loop.executor(), loop.clock);
    server->accept(std::move(its));
    return std::move(ours);
  }

  struct SlowReader {
    ConnPtr conn;
    size_t got = 0;
    bool ended = false;
  };
  Task<Result<>> read_slowly(SlowReader& reader, size_t bytes) {
    CO_TRY_DO(co_await reader.conn->write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    std::string chunk(bytes, ' ');
    while (true) {
      CO_TRY_DO(co_await loop.clock.sleep_for(1s));
      const Result<> read = co_await read_exactly(*reader.conn, asio::buffer(chunk));
      reader.ended = !read;
      if (!read) co_return Result<>();
      reader.got += bytes;
    }
  }
  // Asks, and reads so many bytes of the answer each second.
  SlowReader& start_slow_reader(size_t bytes) {
    SlowReader& reader = slow_readers.emplace_back(connect());
    callers.spawn(read_slowly(reader, bytes));
    return reader;
  }

  Task<Result<>> exchange(std::string request, std::string& told) {
    const ConnPtr conn = connect();
    CO_TRY_DO(co_await conn->write(request));
    if (half_closes) conn->shutdown_write();
    char chunk[4096];
    while (true) {
      const Result<size_t> n = co_await conn->read_some(asio::buffer(chunk));
      was_reset = !n;
      if (!n || *n == 0) co_return Result<>();
      told.append(chunk, *n);
    }
  }
  // What the caller reads until the end of the connection.
  std::string tell(std::string request) {
    std::string told;
    loop.run(exchange(std::move(request), told));
    return told;
  }

  Task<Result<>> call_application(HttpCall call) {
    const Result<HttpReply> reply =
        co_await link.call(std::move(call), loop.clock.now() + 10s, 1000);
    last_call = reply ? std::nullopt : std::optional(reply.code());
    co_return Result<>();
  }

  void finished(TimePoint, TimePoint, double) override {}

  VirtualLoop loop;
  SeededRandom random{1};
  Config config;
  HealthJudge judge{config.application};
  ApplicationLink link{loop.clock, [this](Duration) { return dial(); }, "app"};
  Front front{loop.executor(), loop.clock, random, config, link, judge, *this};
  std::optional<StatusPages> pages;
  std::optional<FrontServer> server;
  Scope applications{loop.executor(), "applications"};
  std::deque<SlowReader> slow_readers;
  Scope callers{loop.executor(), "callers"};

  std::string answer;
  std::string stray;  // written a little after each answer
  int answers_a_connection = 1;
  int dies_of = -1;  // the request of a connection that it does not answer
  bool lingers = false;
  Duration thinks{};
  bool half_closes = false;

  std::string asked;
  int requests = 0;
  int dials = 0;
  bool was_reset = false;
  std::optional<ErrorCode> last_call;
};

TEST_F(RelayTest, ManySmallChunksArriveWholeAndSoDoTrailers) {
  answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
  for (const char c : std::string_view("abcdefghij")) answer += fmt::format("1\r\n{}\r\n", c);
  answer += "0\r\nX-Sum: 10\r\n\r\n";
  const std::string told =
      tell("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(asked, HasSubstr("\r\nTE: trailers\r\n"));
  EXPECT_THAT(told, HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_THAT(told, EndsWith("\r\n\r\na\r\nabcdefghij\r\n0\r\nX-Sum: 10\r\n\r\n"));
}

TEST_F(RelayTest, HttpOneDotZeroGetsNoChunks) {
  answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
  const std::string told = tell("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(told, Not(HasSubstr("chunked")));
  EXPECT_THAT(told, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(told, EndsWith("\r\n\r\nabcdef"));
}

TEST_F(RelayTest, NoLengthIsMadeUpForAnAnswerToHead) {
  answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string told = tell("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(told, HasSubstr("200 OK\r\n"));
  EXPECT_THAT(told, Not(HasSubstr("Content-Length")));
}

TEST_F(RelayTest, AnAnswerThatBreaksOffIsAReset) {
  answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
  stray = "nonsense\r\n";
  EXPECT_THAT(tell("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), EndsWith("3\r\nabc\r\n"));
  EXPECT_TRUE(was_reset);
  EXPECT_THAT(tell("GET / HTTP/1.0\r\n\r\n"), EndsWith("\r\n\r\nabc"));
  EXPECT_TRUE(was_reset);
}

TEST_F(RelayTest, ABadAnswerOfWhichNothingWasSentIsRefused) {
  answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
  const std::string told = tell(
      "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(told, StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(requests, 2) << "the caller's connection goes on";
  EXPECT_EQ(front.stats().answers, (std::map<int, uint64_t>{{502, 2}}));
}

TEST_F(RelayTest, AnAnswerToHeadKeepsItsLength) {
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n";
  const std::string told = tell("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(told, HasSubstr("\r\nContent-Length: 1234\r\n"));
}

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr std::string_view kPost =
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

TEST_F(RelayTest, WhatIsNotIdempotentIsSentOnce) {
  answer = kOk;
  answers_a_connection = 2;
  dies_of = 1;
  EXPECT_THAT(tell(std::string(kGet)), EndsWith("ok"));
  EXPECT_THAT(tell(std::string(kPost)), HasSubstr("application_unreachable"));
  EXPECT_EQ(requests, 2);
  EXPECT_EQ(dials, 1);
  EXPECT_THAT(tell(std::string(kGet)), EndsWith("ok"));
  EXPECT_THAT(tell(std::string(kGet)), EndsWith("ok")) << "an idempotent one is made again";
  EXPECT_EQ(requests, 5);
}

TEST_F(RelayTest, NorIsACallOfOurOwn) {
  answer = kOk;
  answers_a_connection = 2;
  dies_of = 1;
  const auto call = [this](std::string method) {
    HttpCall http{.method = std::move(method)};
    loop.run(call_application(std::move(http)));
  };
  call("GET");
  call("POST");
  EXPECT_EQ(last_call, ErrorCode::Unavailable);
  EXPECT_EQ(requests, 2);
  call("GET");
  call("GET");
  EXPECT_EQ(last_call, std::nullopt);
  EXPECT_EQ(requests, 5);
}

TEST_F(RelayTest, WhatTheApplicationWroteOnARestingConnectionIsNobodysAnswer) {
  answer = kOk;
  stray = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 5\r\n\r\nstale";
  answers_a_connection = 9;
  EXPECT_THAT(tell(std::string(kPost)), EndsWith("ok"));
  loop.clock.run_for(5ms);
  EXPECT_THAT(tell(std::string(kPost)), EndsWith("ok"));
  EXPECT_EQ(dials, 2);
}

TEST_F(RelayTest, AnEarlyAnswerReachesTheCallerOfALargeRequest) {
  answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig";
  lingers = true;  // and reads no more
  const std::string told =
      tell("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n" +
           std::string(1'000'000, 'x'));
  EXPECT_THAT(told, EndsWith("\r\n\r\nbig"));
  EXPECT_EQ(requests, 1);
  EXPECT_THAT(tell(std::string(kGet)), EndsWith("big"));
  EXPECT_EQ(dials, 2) << "half a request is still on its way in the first one";
}

TEST_F(RelayTest, AnUpgradeNobodyAskedForIsNoAnswer) {
  answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n";
  const std::string told =
      tell("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n");
  EXPECT_THAT(asked, Not(HasSubstr("h2c")));
  EXPECT_THAT(told, HasSubstr("HTTP/1.1 502 "));
  EXPECT_THAT(told, HasSubstr("application_bad_answer"));
}

TEST_F(RelayTest, AnUpgradeWithABodyIsRefused) {
  const std::string told = tell(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Content-Length: 5\r\n\r\n");
  EXPECT_THAT(told, HasSubstr("HTTP/1.1 400 "));
  EXPECT_EQ(requests, 0);
}

TEST_F(RelayTest, AnUpgradeQueuesUntilTheApplicationAgrees) {
  thinks = 1s;
  answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
  lingers = true;
  const std::string ask =
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  std::array<std::string, 3> told;
  for (std::string& one : told) callers.spawn(exchange(ask, one));
  const auto upgraded = [&] {
    return std::ranges::count_if(told, [](const auto& t) { return t.starts_with("HTTP/1.1 101"); });
  };
  for (int second = 0; second < 3; ++second) {
    loop.clock.run_for(500ms);
    EXPECT_EQ(front.queue().dispatches(), 1u);
    EXPECT_EQ(requests, second + 1);
    EXPECT_EQ(upgraded(), second);
    loop.clock.run_for(500ms);
  }
  EXPECT_EQ(upgraded(), 3);
  EXPECT_EQ(front.queue().accepted(), 0u) << "what is upgraded counts no more";
}

TEST_F(RelayTest, ACallerThatOnlySendsNoMoreGetsItsAnswer) {
  answer = kOk;
  thinks = 5s;
  half_closes = true;
  const std::string told = tell(std::string(kGet));
  EXPECT_THAT(told, EndsWith("ok"));
  EXPECT_THAT(told, HasSubstr("HTTP/1.1 100 Continue\r\n\r\n")) << "how it was found to listen";
  EXPECT_THAT(tell("GET / HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(front.stats().cancelled, 0u);
}

std::string large_answer(size_t bytes) {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", bytes,
                     std::string(bytes, 'x'));
}

TEST_F(RelayTest, TheSlotIsFreeWhenTheApplicationIsDone) {
  answer = large_answer(4'000'000);
  answers_a_connection = 2;
  const SlowReader& slow = start_slow_reader(40'000);
  loop.clock.run_for(100ms);
  EXPECT_EQ(front.queue().accepted(), 0u);
  EXPECT_TRUE(front.has_unfinished());
  EXPECT_THAT(tell(std::string(kGet)), EndsWith("xxx")) << "another one meanwhile";
  EXPECT_LT(slow.got, 1'000'000u);
  loop.clock.run_for(2min);
  EXPECT_GE(slow.got, 4'000'000u - 40'000u);
  EXPECT_FALSE(front.has_unfinished());
}

TEST_F(RelayTest, MoreThanTheBoundTheApplicationMustWait) {
  config.front.answer_buffer_max = 100'000;
  answer = large_answer(4'000'000);
  start_slow_reader(40'000);
  loop.clock.run_for(60s);
  EXPECT_EQ(front.queue().accepted(), 1u);
  EXPECT_FALSE(front.bodies().has_room(config.front.buffer_max));
  EXPECT_TRUE(front.bodies().has_room(config.front.buffer_max - 300'000));
  loop.clock.run_for(60s);
  EXPECT_EQ(front.queue().accepted(), 0u);
  EXPECT_TRUE(front.bodies().has_room(config.front.buffer_max));
}

TEST_F(RelayTest, ACallerWhoReadsTooSlowlyIsCutAndASlowOneIsNot) {
  config.front.rate_min = 1000;
  config.front.idle_timeout = 60s;
  answer = large_answer(400'000);
  for (const size_t rate : {500, 3000}) {
    const SlowReader& slow = start_slow_reader(rate);
    loop.clock.run_for(10min);
    if (rate < 1000) {
      EXPECT_TRUE(slow.ended);
      EXPECT_LT(slow.got, 200'000u);
    } else {
      EXPECT_GE(slow.got, 400'000u - rate);
    }
    EXPECT_FALSE(front.has_unfinished());
    slow.conn->close();
    loop.clock.run_for(1s);
  }
}

// Whatever a peer sends for ever, only so much of it is kept.
TEST_F(RelayTest, ACallerWhoPipelinesForEverIsReadOnlySoFar) {
  thinks = 1h;
  const ConnPtr conn = connect();
  conn->write_now(std::array{asio::buffer(kGet)});
  const std::string more(16 * 1024, 'x');
  size_t taken = 0;
  for (int i = 0; i < 1000; ++i) {
    taken += conn->write_now(std::array{asio::buffer(more)});
    loop.clock.run_for(10ms);
  }
  EXPECT_LE(taken, 256u * 1024) << "64 KiB in the pipe, and what is read ahead";
  EXPECT_EQ(front.queue().accepted(), 1u);
}

TEST_F(RelayTest, OneWhoPipelinesAndLeavesIsNoticedAllTheSame) {
  thinks = 1h;
  const ConnPtr conn = connect();
  conn->write_now(std::array{asio::buffer(kGet)});
  const std::string more(16 * 1024, 'x');
  for (int i = 0; i < 20; ++i) {
    conn->write_now(std::array{asio::buffer(more)});
    loop.clock.run_for(10ms);
  }
  EXPECT_EQ(front.queue().accepted(), 1u);
  conn->close();
  loop.clock.run_for(2s);
  EXPECT_EQ(front.queue().accepted(), 0u);
}

TEST_F(RelayTest, AnAnswerWithoutEndToOneWhoDoesNotReadIsReadOnlySoFar) {
  config.front.answer_buffer_max = 100'000;
  config.front.idle_timeout = 1h;
  answer = "HTTP/1.1 200 OK\r\n\r\n" + std::string(50'000'000, 'x');
  const ConnPtr conn = connect();
  conn->write_now(std::array{asio::buffer(kGet)});
  loop.clock.run_for(1min);
  EXPECT_TRUE(front.bodies().has_room(config.front.buffer_max - 300'000));
  conn->close();
  loop.clock.run_for(1s);
  EXPECT_TRUE(front.bodies().has_room(config.front.buffer_max));
}

}  // namespace
}  // namespace mesclun::companion
