#include "http/idle_conns.h"

#include "base/socket_conn.h"
#include "base/test_loop.h"

namespace mesclun {
namespace {

struct Bench {
  ~Bench() {
    woken.clear();
    idle.clear();
    loop.clock.run_ready();
  }
  ConnPtr connect() {
    auto [client, server] = memory_conn_pair(loop.executor(), loop.clock);
    rest(std::move(server));
    return std::move(client);
  }
  void rest(ConnPtr conn) { rest(IdleConns::Entry(std::move(conn))); }
  void rest(IdleConns::Entry entry) { EXPECT_TRUE(idle.keep(entry, loop.clock.now() + 75s)); }

  VirtualLoop loop;
  std::vector<IdleConns::Entry> woken;
  IdleConns idle{[this](IdleConns::Entry entry) { woken.push_back(std::move(entry)); }};
};

Task<Result<>> write_byte(Conn& conn) {
  return conn.write("x");
}

Task<Result<>> read_byte(Conn& conn) {
  char byte;
  co_return co_await read_exactly(conn, asio::buffer(&byte, 1));
}

TEST(IdleConns, WakesWhoHasSomethingToRead) {
  Bench bench;
  const ConnPtr silent = bench.connect();
  const ConnPtr client = bench.connect();
  bench.loop.clock.run_for(10s);
  EXPECT_EQ(bench.idle.size(), 2u);
  bench.loop.run(write_byte(*client));
  bench.loop.clock.run_ready();
  EXPECT_EQ(bench.idle.size(), 1u);
  ASSERT_EQ(bench.woken.size(), 1u);
  EXPECT_FALSE(bench.woken[0].conn().is_clean()) << "nothing was read of it";
}

TEST(IdleConns, WakesAgainAndAgain) {
  Bench bench;
  const ConnPtr client = bench.connect();
  for (int i = 0; i < 3; ++i) {
    bench.loop.run(write_byte(*client));
    bench.loop.clock.run_ready();
    ASSERT_EQ(bench.woken.size(), 1u);
    IdleConns::Entry entry = std::move(bench.woken[0]);
    bench.woken.clear();
    bench.loop.run(read_byte(entry.conn()));
    bench.rest(std::move(entry));
  }
}

TEST(IdleConns, ForgetsWhoLeavesOrRestsTooLong) {
  Bench bench;
  ConnPtr leaves = bench.connect();
  const ConnPtr stays = bench.connect();
  leaves->close();
  bench.loop.clock.run_ready();
  EXPECT_EQ(bench.idle.size(), 1u);
  bench.loop.clock.run_for(74s);
  EXPECT_EQ(bench.idle.size(), 1u);
  bench.loop.clock.run_for(2s);
  EXPECT_EQ(bench.idle.size(), 0u);
  EXPECT_FALSE(stays->is_clean());
  EXPECT_TRUE(bench.woken.empty());
}

TEST(IdleConns, EndsTheSilentAndWakesTheOthers) {
  Bench bench;
  const ConnPtr silent = bench.connect();
  const ConnPtr speaks = bench.connect();
  bench.loop.clock.run_ready();
  const asio::const_buffer byte("x", 1);
  EXPECT_EQ(speaks->write_now(std::span(&byte, 1)), 1u);
  bench.idle.close_silent();
  EXPECT_EQ(bench.idle.size(), 1u);
  bench.loop.clock.run_ready();
  EXPECT_EQ(bench.woken.size(), 1u);
  EXPECT_FALSE(silent->is_clean());
}

TEST(IdleConns, EndsTheOldestThatIsSilent) {
  Bench bench;
  const ConnPtr speaks = bench.connect();
  const ConnPtr oldest = bench.connect();
  const ConnPtr newest = bench.connect();
  const asio::const_buffer byte("x", 1);
  EXPECT_EQ(speaks->write_now(std::span(&byte, 1)), 1u);
  EXPECT_TRUE(bench.idle.close_oldest());
  EXPECT_FALSE(oldest->is_clean());
  EXPECT_TRUE(newest->is_clean());
  EXPECT_TRUE(bench.idle.close_oldest());
  EXPECT_FALSE(bench.idle.close_oldest()) << "the one left has something to say";
  EXPECT_EQ(bench.idle.size(), 1u);
}

TEST(IdleConns, GivesBackWhatItCannotKeep) {
  Bench bench;
  auto [client, server] = memory_conn_pair(bench.loop.executor(), bench.loop.clock);
  IdleConns::Entry entry(with_read_ahead(std::move(server), "GET "));
  EXPECT_FALSE(bench.idle.keep(entry, TimePoint::max()));
  EXPECT_FALSE(entry.conn().is_clean());
  EXPECT_EQ(bench.idle.size(), 0u);
}

}  // namespace
}  // namespace mesclun
