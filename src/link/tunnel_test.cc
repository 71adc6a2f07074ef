#include "link/tunnel.h"

#include <boost/asio/use_awaitable.hpp>

#include "base/race.h"
#include "base/test_conn.h"
#include "base/test_loop.h"

namespace mesclun::link {
namespace {

Task<Result<>> note_end(Tunnel& tunnel, std::optional<Error>& end) {
  const Result<> result = co_await tunnel.run();
  end = result.error();
  co_return Result<>();
}

// Both ends of a tunnel over memory. Applications of the node are the other ends of `apps`.
struct Pair {
  explicit Pair(VirtualLoop& l, TunnelLimits limits = {}, size_t capacity = 64 * 1024)
      : loop(l), scope(l.executor(), "pair"), accepted(l.executor()) {
    auto [a, b] = memory_conn_pair(l.executor(), l.clock, capacity);
    gateway = Tunnel::opening(l.executor(), std::move(a), l.clock, limits);
    node = Tunnel::accepting(
        l.executor(), std::move(b), l.clock,
        [this](TunnelTarget target) { return connect(std::move(target)); }, limits);
    scope.spawn(note_end(*gateway, gateway_end));
    scope.spawn(note_end(*node, node_end));
  }
  ~Pair() {
    gateway->close();
    node->close();
    for (ConnPtr& app : apps) app->close();
    EXPECT_TRUE(loop.clock.run_while_not([this] { return scope.running() == 0; }, 60s));
  }

  Task<Result<ConnPtr>> connect(TunnelTarget target) {
    if (target.instance_id == "refused") {
      co_return Error{ErrorCode::Unavailable, "connection refused", Cause::Refused};
    }
    if (target.instance_id == "unknown") co_return Error::not_found("no such instance");
    if (target.instance_id == "slow") CO_TRY_DO(co_await loop.clock.sleep_for(1h));
    auto [ours, theirs] = memory_conn_pair(loop.executor(), loop.clock, 16 * 1024);
    apps.push_back(std::move(theirs));
    accepted.notify_all();
    co_return std::move(ours);
  }

  VirtualLoop& loop;
  Scope scope;
  Notify accepted;
  std::vector<ConnPtr> apps;
  std::unique_ptr<Tunnel> gateway;
  std::unique_ptr<Tunnel> node;
  std::optional<Error> gateway_end;
  std::optional<Error> node_end;
};

Task<Result<TunnelStreamPtr>> open(Tunnel& tunnel, std::string instance) {
  TunnelTarget target{.instance_id = std::move(instance), .port = 80};
  co_return co_await tunnel.open(std::move(target), 5s);
}

Task<Result<>> write_bytes(Conn& conn, size_t size, bool then_end) {
  const std::string text(size, 'x');
  CO_TRY_DO(co_await conn.write(text));
  if (then_end) conn.shutdown_write();
  co_return Result<>();
}

Task<Result<>> both_ways(Pair& pair) {
  CO_TRY(const TunnelStreamPtr stream, co_await open(*pair.gateway, "i"));
  Conn& app = *pair.apps.at(0);
  Scope scope(co_await asio::this_coro::executor, "writers");
  scope.spawn(write_bytes(*stream, 1'000'000, true));
  CO_TRY(const std::string there, co_await read_to_end(app));
  EXPECT_EQ(there.size(), 1'000'000u);
  // The request has ended; the answer still comes.
  scope.spawn(write_bytes(app, 3'000'000, true));
  CO_TRY(const std::string back, co_await read_to_end(*stream));
  EXPECT_EQ(back.size(), 3'000'000u);
  co_await scope.drain();
  EXPECT_EQ(pair.gateway->streams(), 0u);
  EXPECT_EQ(pair.gateway->buffered_bytes(), 0u);
  co_return Result<>();
}

TEST(Tunnel, CarriesMegabytesBothWaysWithHalfClose) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(both_ways(pair));
}

Task<Result<>> typed_failures(Pair& pair) {
  const auto refused = co_await open(*pair.gateway, "refused");
  EXPECT_EQ(refused.code(), ErrorCode::Unavailable);
  EXPECT_EQ(refused.error().cause, Cause::Refused);
  const auto unknown = co_await open(*pair.gateway, "unknown");
  EXPECT_EQ(unknown.code(), ErrorCode::Unavailable);
  EXPECT_EQ(unknown.error().cause, Cause::Unreachable);
  const TimePoint before = pair.loop.clock.now();
  const auto slow = co_await open(*pair.gateway, "slow");
  EXPECT_EQ(slow.code(), ErrorCode::DeadlineExceeded);
  EXPECT_LE(pair.loop.clock.now() - before, 5100ms);
  EXPECT_EQ(pair.gateway->streams(), 0u);
  // The opener that gave up is no violation.
  CO_TRY(const TunnelStreamPtr stream, co_await open(*pair.gateway, "i"));
  EXPECT_TRUE(stream->is_clean());
  co_return Result<>();
}

TEST(Tunnel, FailedOpensSayWhyAndLeaveTheTunnelUp) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(typed_failures(pair));
  EXPECT_TRUE(pair.gateway->up());
}

Task<Result<>> write_quietly(Conn& conn, size_t size) {
  std::ignore = co_await write_bytes(conn, size, false);
  co_return Result<>();
}

Task<Result<>> fill_unread(Pair& pair) {
  CO_TRY(const TunnelStreamPtr stream, co_await open(*pair.gateway, "i"));
  Scope scope(co_await asio::this_coro::executor, "writer");
  scope.spawn(write_quietly(*pair.apps.at(0), 10'000'000));
  CO_TRY_DO(co_await pair.loop.clock.sleep_for(5s));
  // Nobody read the stream: the application is held up after the first window.
  EXPECT_EQ(pair.gateway->buffered_bytes(), kWindowInitial);
  EXPECT_LT(pair.node->buffered_bytes(), 1024u);
  CO_TRY(const TunnelStreamPtr other, co_await open(*pair.gateway, "j"));
  CO_TRY_DO(co_await pair.apps.at(1)->write("still moving"));
  std::string bytes;
  CO_TRY(const bool more, co_await other->read_all(bytes));
  EXPECT_TRUE(more);
  EXPECT_EQ(bytes, "still moving");
  stream->abort();
  co_await scope.drain();
  EXPECT_EQ(pair.gateway->buffered_bytes(), 0u);
  co_return Result<>();
}

TEST(Tunnel, AStreamThatNobodyReadsHoldsOneWindowAndStopsNobody) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(fill_unread(pair));
}

Task<Result<>> count_until(Conn& conn, size_t& count) {
  char buffer[1024];
  while (true) {
    const auto n = co_await conn.read_some(asio::buffer(buffer));
    if (!n || *n == 0) co_return Result<>();
    count += *n;
  }
}

Task<Result<>> share(Pair& pair) {
  Scope scope(co_await asio::this_coro::executor, "streams");
  std::vector<TunnelStreamPtr> streams;
  std::vector<size_t> counts(4);
  for (size_t i = 0; i < counts.size(); ++i) {
    CO_TRY(TunnelStreamPtr stream, co_await open(*pair.gateway, "i"));
    streams.push_back(std::move(stream));
    scope.spawn(write_quietly(*streams[i], 4'000'000));
    scope.spawn(count_until(*pair.apps.at(i), counts[i]));
  }
  while (counts[0] < 2'000'000) co_await asio::post(scope.executor(), asio::use_awaitable);
  for (const size_t count : counts) {
    EXPECT_GT(count, 1'500'000u);
    EXPECT_LT(count, 2'500'000u);
  }
  for (const TunnelStreamPtr& stream : streams) stream->abort();
  co_await scope.drain();
  co_return Result<>();
}

TEST(Tunnel, BusyStreamsGetEqualShares) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(share(pair));
}

Task<Result<>> break_it(Pair& pair) {
  CO_TRY(const TunnelStreamPtr a, co_await open(*pair.gateway, "i"));
  CO_TRY(const TunnelStreamPtr b, co_await open(*pair.gateway, "i"));
  pair.node->close();
  std::string bytes;
  const TimePoint before = pair.loop.clock.now();
  EXPECT_EQ((co_await a->read_all(bytes)).code(), ErrorCode::Unavailable);
  EXPECT_EQ((co_await b->read_all(bytes)).code(), ErrorCode::Unavailable);
  EXPECT_EQ((co_await b->write("x")).code(), ErrorCode::Unavailable);
  EXPECT_EQ(pair.loop.clock.now(), before);
  EXPECT_FALSE(pair.gateway->up());
  EXPECT_EQ((co_await open(*pair.gateway, "i")).code(), ErrorCode::Unavailable);
  // The applications learn it too.
  char buffer[10];
  EXPECT_EQ((co_await pair.apps.at(0)->read_some(asio::buffer(buffer))).code(),
            ErrorCode::Unavailable);
  co_return Result<>();
}

TEST(Tunnel, ABrokenTunnelFailsItsStreamsAtOnce) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(break_it(pair));
  EXPECT_EQ(pair.gateway_end->code, ErrorCode::Unavailable);
}

Task<Result<>> reset_both_ways(Pair& pair) {
  CO_TRY(const TunnelStreamPtr a, co_await open(*pair.gateway, "i"));
  CO_TRY_DO(co_await a->write("never read"));
  a->abort();
  CO_TRY_DO(co_await pair.loop.clock.sleep_for(1ms));
  char buffer[100];
  const auto seen = co_await pair.apps.at(0)->read_some(asio::buffer(buffer));
  EXPECT_EQ(seen.code(), ErrorCode::Unavailable);

  // What was answered before the application broke off can still be read.
  CO_TRY(const TunnelStreamPtr b, co_await open(*pair.gateway, "i"));
  CO_TRY_DO(co_await pair.apps.at(1)->write("early answer"));
  CO_TRY_DO(co_await pair.loop.clock.sleep_for(1ms));
  pair.apps.at(1)->abort();
  CO_TRY_DO(co_await pair.loop.clock.sleep_for(1ms));
  EXPECT_EQ((co_await b->write("more")).code(), ErrorCode::Unavailable);
  CO_TRY(const size_t n, co_await b->read_some(asio::buffer(buffer)));
  EXPECT_EQ(std::string_view(buffer, n), "early answer");
  EXPECT_EQ((co_await b->read_some(asio::buffer(buffer))).code(), ErrorCode::Unavailable);
  EXPECT_FALSE(b->is_clean());
  co_return Result<>();
}

TEST(Tunnel, ResetsTravelBothWays) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(reset_both_ways(pair));
  EXPECT_EQ(pair.gateway->streams(), 0u);
  EXPECT_EQ(pair.node->streams(), 0u);
}

Task<Result<>> deadline(Pair& pair) {
  CO_TRY(const TunnelStreamPtr stream, co_await open(*pair.gateway, "i"));
  stream->set_deadline(pair.loop.clock.now() + 3s);
  std::string bytes;
  const TimePoint before = pair.loop.clock.now();
  EXPECT_EQ((co_await stream->read_all(bytes)).code(), ErrorCode::DeadlineExceeded);
  EXPECT_GE(pair.loop.clock.now() - before, 3s);
  EXPECT_LE(pair.loop.clock.now() - before, 3100ms);
  stream->set_deadline(TimePoint::max());
  CO_TRY_DO(co_await pair.apps.at(0)->write("later"));
  CO_TRY(const bool more, co_await stream->read_all(bytes));
  EXPECT_TRUE(more);
  EXPECT_EQ(bytes, "later");
  co_return Result<>();
}

TEST(Tunnel, DeadlinesEndAReadAndCanBeMoved) {
  VirtualLoop loop;
  Pair pair(loop);
  loop.run(deadline(pair));
}

Task<Result<>> too_many(Pair& pair) {
  std::vector<TunnelStreamPtr> streams;
  for (int i = 0; i < 8; ++i) {
    CO_TRY(TunnelStreamPtr stream, co_await open(*pair.gateway, "i"));
    streams.push_back(std::move(stream));
  }
  EXPECT_EQ((co_await open(*pair.gateway, "i")).code(), ErrorCode::ResourceExhausted);
  streams.pop_back();
  CO_TRY(const TunnelStreamPtr again, co_await open(*pair.gateway, "i"));
  co_return Result<>();
}

TEST(Tunnel, StreamsAreBounded) {
  VirtualLoop loop;
  TunnelLimits limits;
  limits.streams_max = 8;
  Pair pair(loop, limits);
  loop.run(too_many(pair));
}

// One end of a tunnel against a peer that the test speaks for.
struct Half {
  Half(VirtualLoop& l, bool opens) : loop(l), scope(l.executor(), "half") {
    auto [a, b] = memory_conn_pair(l.executor(), l.clock, 256 * 1024);
    peer = std::move(b);
    tunnel = opens ? Tunnel::opening(l.executor(), std::move(a), l.clock)
                   : Tunnel::accepting(l.executor(), std::move(a), l.clock, refuse);
    scope.spawn(note_end(*tunnel, end));
  }
  ~Half() {
    tunnel->close();
    EXPECT_TRUE(loop.clock.run_while_not([this] { return scope.running() == 0; }, 60s));
  }
  static Task<Result<ConnPtr>> refuse(TunnelTarget) { co_return Error::unavailable("nobody"); }

  VirtualLoop& loop;
  Scope scope;
  ConnPtr peer;
  std::unique_ptr<Tunnel> tunnel;
  std::optional<Error> end;
};

Task<Result<>> say(Conn& conn, std::string bytes) {
  std::ignore = co_await conn.write(bytes);  // may end the tunnel, and the write with it
  co_return Result<>();
}

std::optional<Error> end_after(const std::string& bytes, bool opens) {
  VirtualLoop loop;
  Half half(loop, opens);
  loop.run(say(*half.peer, bytes));
  loop.clock.run_ready();
  return half.end;
}

TEST(Tunnel, AViolationEndsItWithATypedError) {
  std::string open;
  append_open(5, {"i", 80}, open);
  std::string data;
  append_frame(FrameType::Data, 9, "x", data);
  std::string twice = open + open;
  std::string fin = open;
  append_frame(FrameType::Fin, 5, {}, fin);
  std::string window = open;
  append_window(5, UINT32_MAX, window);
  std::string nonsense = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const std::string& bytes : {data, twice, fin, window, nonsense}) {
    const auto end = end_after(bytes, false);
    ASSERT_TRUE(end);
    EXPECT_EQ(end->code, ErrorCode::InvalidArgument);
  }
  EXPECT_EQ(end_after(open, true)->code, ErrorCode::InvalidArgument) << "a node opens nothing";
  EXPECT_FALSE(end_after(open, false)) << "refused, but not the tunnel";
}

TEST(Tunnel, PingsWithoutReadingTheAnswersEndIt) {
  std::string pings;
  for (int i = 0; i < 300'000; ++i) append_frame(FrameType::Ping, 0, {}, pings);
  const auto end = end_after(pings, false);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, ErrorCode::InvalidArgument);
}

TEST(Tunnel, ASilentPeerIsSuspectAfter800MsAndGoneAfter10S) {
  VirtualLoop loop;
  Half half(loop, true);
  loop.clock.run_for(790ms);
  EXPECT_FALSE(half.tunnel->suspect());
  loop.clock.run_for(20ms);
  EXPECT_TRUE(half.tunnel->suspect());
  EXPECT_TRUE(half.tunnel->up());
  std::string pong;
  append_frame(FrameType::Pong, 0, {}, pong);
  loop.run(say(*half.peer, pong));
  loop.clock.run_ready();
  EXPECT_FALSE(half.tunnel->suspect()) << "one frame clears it";
  // Half a frame is no sign of life.
  loop.run(say(*half.peer, pong.substr(0, 5)));
  loop.clock.run_for(9900ms);
  EXPECT_TRUE(half.tunnel->up());
  loop.clock.run_for(300ms);
  EXPECT_FALSE(half.tunnel->up());
  EXPECT_EQ(half.end->code, ErrorCode::Unavailable);
}

TEST(Tunnel, IdleTunnelsStayUpByPings) {
  VirtualLoop loop;
  Pair pair(loop);
  for (int i = 0; i < 100; ++i) {
    loop.clock.run_for(600ms);
    EXPECT_FALSE(pair.gateway->suspect());
    EXPECT_FALSE(pair.node->suspect());
  }
}

}  // namespace
}  // namespace mesclun::link
