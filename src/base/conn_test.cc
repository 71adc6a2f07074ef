#include "base/conn.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/race.h"
#include "base/socket_conn.h"
#include "base/test_conn.h"
#include "base/test_folder.h"
#include "base/test_loop.h"

namespace mesclun {
namespace {

Task<Result<>> send_all(Conn& conn, std::string text) {
  CO_TRY_DO(co_await conn.write(text));
  conn.shutdown_write();
  co_return Result<>();
}

Task<Result<>> exchange(ConnPtr a, ConnPtr b, size_t size) {
  Scope scope(co_await asio::this_coro::executor, "sender");
  const std::string text(size, 'x');
  scope.spawn(send_all(*a, text));
  CO_TRY(const std::string received, co_await read_to_end(*b));
  EXPECT_EQ(received.size(), size);
  co_await scope.stop();
  co_return Result<>();
}

TEST(MemoryConn, CarriesMoreThanItHolds) {
  VirtualLoop loop;
  auto [a, b] = memory_conn_pair(loop.executor(), loop.clock, 100);
  loop.run(exchange(std::move(a), std::move(b), 10'000));
}

Task<Result<>> read_until_deadline(ConnPtr a, ConnPtr b, Clock& clock, Duration at_least) {
  char buffer[10];
  a->set_deadline(clock.now() + 300ms);
  const TimePoint before = clock.now();
  const auto n = co_await a->read_some(asio::buffer(buffer));
  EXPECT_FALSE(n);
  EXPECT_EQ(n ? ErrorCode::Internal : n.code(), ErrorCode::DeadlineExceeded);
  EXPECT_GE(clock.now() - before, at_least);
  // Moved, the deadline lets the connection live on.
  a->set_deadline(clock.now() + 10s);
  CO_TRY_DO(co_await b->write("hello"));
  CO_TRY(const size_t got, co_await a->read_some(asio::buffer(buffer)));
  EXPECT_EQ(got, 5u);
  b->close();
  CO_TRY(const size_t end, co_await a->read_some(asio::buffer(buffer)));
  EXPECT_EQ(end, 0u);
  co_return Result<>();
}

TEST(MemoryConn, DeadlineEndsAReadAndCanBeMoved) {
  VirtualLoop loop;
  auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
  loop.run(read_until_deadline(std::move(a), std::move(b), loop.clock, 300ms));
}

struct Pair {
  ConnPtr a;
  ConnPtr b;
};

Task<void> accept_into(Listener& listener, Clock& clock, ConnPtr& out) {
  Result<ConnPtr> conn = co_await listener.accept(clock);
  if (conn) out = std::move(*conn);
}

Task<void> dial_into(Endpoint endpoint, Clock& clock, ConnPtr& out) {
  Result<ConnPtr> conn = co_await dial(std::move(endpoint), clock, 5s);
  if (conn) out = std::move(*conn);
}

Task<Result<Pair>> connected_pair(Clock& clock, Endpoint endpoint) {
  CO_TRY(Listener listener, Listener::bind(co_await asio::this_coro::executor, endpoint));
  Pair pair;
  co_await join(accept_into(listener, clock, pair.a),
                dial_into(listener.endpoint(), clock, pair.b));
  if (!pair.a || !pair.b) co_return Error::internal("not connected");
  co_return pair;
}

Task<Result<>> real_exchange(Clock& clock, Endpoint endpoint) {
  CO_TRY(Pair pair, co_await connected_pair(clock, endpoint));
  co_return co_await exchange(std::move(pair.a), std::move(pair.b), 5'000'000);
}

Task<Result<>> real_deadline(Clock& clock) {
  const Endpoint endpoint{.host = "127.0.0.1"};
  CO_TRY(Pair pair, co_await connected_pair(clock, endpoint));
  co_return co_await read_until_deadline(std::move(pair.a), std::move(pair.b), clock, 300ms);
}

TEST(SocketConn, CarriesMegabytesOverTcpAndUnixSockets) {
  RealLoop loop;
  loop.run(real_exchange(loop.clock, Endpoint{.host = "127.0.0.1"}));
  loop.run(real_exchange(loop.clock, Endpoint{.host = "::1"}));
  const std::string path = testing::TempDir() + "conn_test.sock";
  loop.run(real_exchange(loop.clock, Endpoint{.host = path, .is_unix = true}));
}

// A socket address holds 107 bytes; a data folder may be deeper.
TEST(SocketConn, UnixSocketsMayHaveLongPaths) {
  RealLoop loop;
  const TestFolder folder;
  const std::string deep = folder.path(std::string(200, 'd'));
  ASSERT_EQ(::mkdir(deep.c_str(), 0700), 0);
  const Endpoint endpoint{.host = deep + "/control.sock", .is_unix = true};
  loop.run(real_exchange(loop.clock, endpoint));
  EXPECT_THAT(list_folder(deep), testing::ElementsAre("control.sock"));
  const Endpoint nowhere{.host = deep + "/none/control.sock", .is_unix = true};
  const Result<Listener> listener = Listener::bind(loop.executor(), nowhere);
  ASSERT_FALSE(listener);
  EXPECT_THAT(listener.error().message, testing::HasSubstr(deep + "/none"));
}

TEST(SocketConn, DeadlineEndsAReadAndCanBeMoved) {
  RealLoop loop;
  loop.run(real_deadline(loop.clock));
}

Task<Result<>> refused(Clock& clock) {
  const Endpoint any{.host = "127.0.0.1"};
  CO_TRY(Listener listener, Listener::bind(co_await asio::this_coro::executor, any));
  const Endpoint gone = listener.endpoint();
  const auto twice = Listener::bind(co_await asio::this_coro::executor, gone);
  EXPECT_FALSE(twice);
  if (!twice) EXPECT_NE(twice.error().message.find("another process"), std::string::npos);
  listener.close();
  const Result<ConnPtr> conn = co_await dial(gone, clock, 5s);
  EXPECT_FALSE(conn);
  if (!conn) EXPECT_EQ(conn.code(), ErrorCode::Unavailable);
  co_return Result<>();
}

Task<Result<>> clean_until_something_is_unread(Clock& clock, Pair pair) {
  EXPECT_TRUE(pair.a->is_clean());
  CO_TRY_DO(co_await pair.b->write("stray"));
  char buffer[10];
  EXPECT_FALSE(pair.a->is_clean());
  CO_TRY_DO(co_await read_exactly(*pair.a, asio::buffer(buffer, 5)));
  EXPECT_TRUE(pair.a->is_clean());
  pair.b->shutdown_write();
  CO_TRY_DO(co_await clock.sleep_for(1ms));
  EXPECT_FALSE(pair.a->is_clean());
  pair.b->close();
  co_return Result<>();
}

Task<Result<>> real_clean(Clock& clock, Endpoint endpoint) {
  CO_TRY(Pair pair, co_await connected_pair(clock, endpoint));
  co_return co_await clean_until_something_is_unread(clock, std::move(pair));
}

TEST(Conn, IsCleanUntilSomethingIsUnreadOrItsPeerEnds) {
  {
    VirtualLoop loop;
    auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
    loop.run(clean_until_something_is_unread(loop.clock, Pair{std::move(a), std::move(b)}));
  }
  RealLoop loop;
  loop.run(real_clean(loop.clock, Endpoint{.host = "127.0.0.1"}));
  const std::string path = testing::TempDir() + "conn_test_clean.sock";
  loop.run(real_clean(loop.clock, Endpoint{.host = path, .is_unix = true}));
}

// What is written to a peer that has closed is lost, what it had before is not.
Task<Result<>> lost_if_nobody_took_it(Clock& clock, Pair pair, bool known) {
  CO_TRY_DO(co_await pair.a->write("taken"));
  char buffer[10];
  CO_TRY_DO(co_await read_exactly(*pair.b, asio::buffer(buffer, 5)));
  EXPECT_EQ(pair.a->written(), 5u);
  EXPECT_FALSE(pair.a->is_lost_after(0));
  pair.b->close();
  CO_TRY_DO(co_await clock.sleep_for(1ms));
  std::ignore = co_await pair.a->write("lost");
  CO_TRY_DO(co_await clock.sleep_for(10ms));
  EXPECT_EQ(pair.a->is_lost_after(5), known);
  EXPECT_FALSE(pair.a->is_lost_after(4)) << "a part was taken";
  co_return Result<>();
}

Task<Result<>> real_lost(Clock& clock, Endpoint endpoint, bool known) {
  CO_TRY(Pair pair, co_await connected_pair(clock, endpoint));
  std::swap(pair.a, pair.b);  // only the side that connects knows
  co_return co_await lost_if_nobody_took_it(clock, std::move(pair), known);
}

TEST(SocketConn, KnowsWhetherThePeerTookWhatWasWritten) {
  RealLoop loop;
  loop.run(real_lost(loop.clock, Endpoint{.host = "127.0.0.1"}, true));
  const std::string path = testing::TempDir() + "conn_test_lost.sock";
  loop.run(real_lost(loop.clock, Endpoint{.host = path, .is_unix = true}, false));
}

Task<void> read_slowly(Clock& clock, Conn& conn, int reads, uint64_t& seen) {
  std::vector<char> buffer(512 * 1024);
  for (int i = 0; i < reads; ++i) {
    std::ignore = co_await clock.sleep_for(100ms);
    const Result<size_t> n = co_await conn.read_some(asio::buffer(buffer));
    if (!n) co_return;
    seen += *n;
  }
}

// More than the kernel buffers, so that write() itself sees nothing move for longer than `idle`.
Task<void> write_idly(Clock& clock, Conn& conn, Result<>& end) {
  const std::string all(32 * 1024 * 1024, 'x');
  conn.set_idle_deadline(clock.now() + 400ms, 400ms);
  end = co_await conn.write(all);
}

Task<Result<>> slow_reader(Clock& clock, int reads) {
  CO_TRY(Pair pair, co_await connected_pair(clock, Endpoint{.host = "127.0.0.1"}));
  Result<> end;
  uint64_t seen = 0;
  co_await join(write_idly(clock, *pair.a, end), read_slowly(clock, *pair.b, reads, seen));
  EXPECT_FALSE(end);
  EXPECT_EQ(end.code(), ErrorCode::DeadlineExceeded) << "it has stopped reading";
  EXPECT_GT(seen, uint64_t{512} * 1024 * static_cast<uint64_t>(reads) / 4)
      << "a slow reader is not cut";
  co_return Result<>();
}

TEST(SocketConn, IdleMeansThatNoByteMoves) {
  RealLoop loop;
  loop.run(slow_reader(loop.clock, 15));
}

// Also where nobody reads what it sent before.
Task<Result<>> tells_of_its_peer(Clock& clock, Pair pair) {
  EXPECT_EQ(pair.a->peer(), Conn::Peer::There);
  CO_TRY_DO(co_await pair.b->write("unread"));
  EXPECT_EQ(pair.a->peer(), Conn::Peer::There);
  pair.b->shutdown_write();
  CO_TRY_DO(co_await clock.sleep_for(1ms));
  EXPECT_EQ(pair.a->peer(), Conn::Peer::SendsNoMore);
  pair.b->close();
  std::ignore = co_await pair.a->write("is anybody there?");
  CO_TRY_DO(co_await clock.sleep_for(10ms));
  EXPECT_EQ(pair.a->peer(), Conn::Peer::Gone);
  co_return Result<>();
}

Task<Result<>> real_peer(Clock& clock, Endpoint endpoint) {
  CO_TRY(Pair pair, co_await connected_pair(clock, endpoint));
  co_return co_await tells_of_its_peer(clock, std::move(pair));
}

TEST(Conn, TellsOfItsPeerWithoutReading) {
  {
    VirtualLoop loop;
    auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
    loop.run(tells_of_its_peer(loop.clock, Pair{std::move(a), std::move(b)}));
  }
  RealLoop loop;
  loop.run(real_peer(loop.clock, Endpoint{.host = "127.0.0.1"}));
  const std::string path = testing::TempDir() + "conn_test_peer.sock";
  loop.run(real_peer(loop.clock, Endpoint{.host = path, .is_unix = true}));
}

// What when_readable() has said, and how often.
struct Told {
  std::function<void(bool)> listener() {
    return [this](bool readable) { says.push_back(readable); };
  }
  std::vector<bool> says;
};

// A Told that waits until it was told.
Task<Result<std::vector<bool>>> told(Clock& clock, Told& told, size_t count = 1) {
  for (int i = 0; i < 300 && told.says.size() < count; ++i)
    CO_TRY_DO(co_await clock.sleep_for(10ms));
  co_return std::exchange(told.says, {});
}

Task<Result<>> tells_when_readable(Clock& clock, Pair pair) {
  char buffer[10];
  Told listener;
  // Twice, with the bytes before the wait and after it.
  for (const bool before : {false, true}) {
    if (before) CO_TRY_DO(co_await pair.b->write("hello"));
    EXPECT_TRUE(pair.a->when_readable(listener.listener()));
    EXPECT_EQ(listener.says.size(), 0u) << "not at once";
    if (!before) CO_TRY_DO(co_await clock.sleep_for(20ms));
    EXPECT_EQ(listener.says.size(), 0u);
    if (!before) CO_TRY_DO(co_await pair.b->write("hello"));
    CO_TRY(const auto says, co_await told(clock, listener));
    EXPECT_EQ(says, std::vector<bool>{true});
    CO_TRY(const size_t got, co_await pair.a->read_some(asio::buffer(buffer)));
    EXPECT_EQ(got, 5u) << "nothing was taken";
  }
  pair.a->set_deadline(clock.now() + 50ms);
  EXPECT_TRUE(pair.a->when_readable(listener.listener()));
  CO_TRY(const auto at_deadline, co_await told(clock, listener));
  EXPECT_EQ(at_deadline, std::vector<bool>{false});
  EXPECT_FALSE(pair.a->is_clean()) << "until it is given more time";
  EXPECT_TRUE(pair.a->when_readable(listener.listener()));
  CO_TRY(const auto after_deadline, co_await told(clock, listener));
  EXPECT_EQ(after_deadline, std::vector<bool>{false});
  pair.a->set_deadline(clock.now() + 1h);
  EXPECT_TRUE(pair.a->when_readable(listener.listener()));
  pair.b->shutdown_write();
  CO_TRY(const auto at_end, co_await told(clock, listener));
  EXPECT_EQ(at_end, std::vector<bool>{false});
  co_return Result<>();
}

// Neither close() nor the end of the connection calls.
Task<Result<>> tells_nobody_after_close(Clock& clock, Pair pair) {
  Told listener;
  EXPECT_TRUE(pair.a->when_readable(listener.listener()));
  EXPECT_TRUE(pair.b->when_readable(listener.listener()));
  CO_TRY_DO(co_await clock.sleep_for(10ms));
  pair.a->close();
  pair.b.reset();
  CO_TRY_DO(co_await clock.sleep_for(50ms));
  EXPECT_EQ(listener.says.size(), 0u);
  co_return Result<>();
}

Task<void> read_into(Conn& conn, Result<size_t>& got) {
  char buffer[10];
  got = co_await conn.read_some(asio::buffer(buffer));
}

Task<void> cancel_soon(Clock& clock, Conn& conn) {
  if (co_await clock.sleep_for(20ms)) conn.cancel_read();
}

Task<Result<>> a_cancelled_read_loses_nothing(Clock& clock, Pair pair) {
  Result<size_t> got = 1;
  co_await join(read_into(*pair.a, got), cancel_soon(clock, *pair.a));
  EXPECT_FALSE(got);
  EXPECT_EQ(got ? ErrorCode::Internal : got.code(), ErrorCode::Cancelled);
  CO_TRY_DO(co_await pair.b->write("hello"));
  co_await read_into(*pair.a, got);
  EXPECT_TRUE(got && *got == 5);
  co_return Result<>();
}

using PairStory = Task<Result<>> (*)(Clock&, Pair);

Task<Result<>> over_tcp(Clock& clock, PairStory story) {
  CO_TRY(Pair pair, co_await connected_pair(clock, Endpoint{.host = "127.0.0.1"}));
  co_return co_await story(clock, std::move(pair));
}

void over_both_kinds(PairStory story) {
  {
    VirtualLoop loop;
    auto [a, b] = memory_conn_pair(loop.executor(), loop.clock);
    loop.run(story(loop.clock, Pair{std::move(a), std::move(b)}));
  }
  RealLoop loop;
  loop.run(over_tcp(loop.clock, story));
}

TEST(Conn, TellsWhenThereIsSomethingToRead) {
  over_both_kinds(tells_when_readable);
}

TEST(Conn, TellsNobodyOnceItIsClosed) {
  over_both_kinds(tells_nobody_after_close);
}

TEST(Conn, ACancelledReadLosesNothing) {
  over_both_kinds(a_cancelled_read_loses_nothing);
}

TEST(MemoryConn, WritesNowWhatThereIsRoomFor) {
  VirtualLoop loop;
  auto [a, b] = memory_conn_pair(loop.executor(), loop.clock, 10);
  const std::string text(25, 'x');
  const asio::const_buffer buffer = asio::buffer(text);
  EXPECT_EQ(a->write_now(std::span(&buffer, 1)), 10u);
  EXPECT_EQ(a->write_now(std::span(&buffer, 1)), 0u);
}

Task<Result<>> only_ipv6_listens(Clock& clock) {
  const Endpoint any{.host = "::1"};
  CO_TRY(Listener listener, Listener::bind(co_await asio::this_coro::executor, any));
  const Endpoint by_name{.host = "localhost", .port = listener.endpoint().port};
  CO_TRY(const ConnPtr conn, co_await dial(by_name, clock, 5s));
  EXPECT_EQ(conn->peer_address(), "::1");
  co_return Result<>();
}

TEST(SocketConn, LocalhostIsWhicheverLoopbackListens) {
  RealLoop loop;
  loop.run(only_ipv6_listens(loop.clock));
}

TEST(SocketConn, BusyPortsAndRefusalsAreNamed) {
  RealLoop loop;
  loop.run(refused(loop.clock));
}

Task<Result<>> own_addresses() {
  const Endpoint local{.host = "127.0.0.1", .port = 1};
  CO_TRY(const bool ours, co_await is_this_machine(local));
  EXPECT_TRUE(ours);
  const Endpoint other{.host = "192.0.2.1", .port = 1};
  CO_TRY(const bool theirs, co_await is_this_machine(other));
  EXPECT_FALSE(theirs);
  co_return Result<>();
}

TEST(Endpoint, TellsOwnMachineFromOthers) {
  RealLoop loop;
  loop.run(own_addresses());
}

TEST(Endpoint, ParsesTheFormsPeopleWrite) {
  EXPECT_EQ(parse_endpoint("localhost:80").value().port, 80);
  EXPECT_EQ(parse_endpoint("[::1]:80").value().host, "::1");
  EXPECT_EQ(parse_endpoint("[::1]:80").value().to_string(), "[::1]:80");
  EXPECT_EQ(parse_endpoint("host", 99).value().port, 99);
  EXPECT_TRUE(parse_endpoint("unix:/tmp/x").value().is_unix);
  for (const char* text : {"", "host", "::1", "::1:80", "[::1", "h:70000", "h:x", "unix:", ":80"}) {
    EXPECT_FALSE(parse_endpoint(text)) << text;
  }
}

}  // namespace
}  // namespace mesclun
