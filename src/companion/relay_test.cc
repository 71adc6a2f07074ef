// Answers byte by byte: what the application writes, and what the caller reads.
#include "companion/relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_loop.h"
#include "companion/front_server.h"

namespace mesclun::companion {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

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
    co_return Result<>();
  }

  Task<Result<ConnPtr>> dial() {
    auto [ours, its] = memory_conn_pair(loop.executor(), loop.clock);
    applications.spawn(application(std::move(its)));
    ConnPtr conn = std::move(ours);
    co_return conn;
  }
  // Reads one head, and writes the answer at once.
  Task<Result<>> application(ConnPtr conn) {
    char chunk[4096];
    while (!asked.ends_with("\r\n\r\n")) {
      CO_TRY(const size_t n, co_await conn->read_some(asio::buffer(chunk)));
      if (n == 0) co_return Result<>();
      asked.append(chunk, n);
    }
    co_return co_await conn->write(answer);
  }

  Task<Result<>> exchange(std::string request, std::string& told) {
    auto [ours, its] = memory_conn_pair(loop.executor(), loop.clock);
    server->serve(std::move(its));
    const ConnPtr conn = std::move(ours);
    CO_TRY_DO(co_await conn->write(request));
    char chunk[4096];
    while (true) {
      const Result<size_t> n = co_await conn->read_some(asio::buffer(chunk));
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
  std::string asked;
  std::string answer;
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

TEST_F(RelayTest, AnAnswerThatBreaksOffBreaksTheCallersConnection) {
  answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n";
  const std::string told = tell("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(told, Not(EndsWith("0\r\n\r\n")));
}

}  // namespace
}  // namespace mesclun::companion
