#include "sim/sim_stream.h"

#include <gtest/gtest.h>

#include "base/race.h"
#include "base/test_conn.h"
#include "base/test_loop.h"

namespace mesclun::sim {
namespace {

class SimStream : public testing::Test {
 protected:
  std::pair<ConnPtr, ConnPtr> pair(link::Fate fate) {
    return sim_stream_pair(loop.executor(), loop.clock, random, std::move(fate));
  }

  VirtualLoop loop;
  SeededRandom random{1};
};

std::string some_text(size_t size) {
  std::string text;
  while (text.size() < size) text += std::to_string(text.size()) + " ";
  return text;
}

Task<Result<>> write_and_end(Conn& conn, std::string text) {
  CO_TRY_DO(co_await conn.write(text));
  conn.shutdown_write();
  co_return Result<>();
}
Task<Result<>> expect_all(Conn& conn, std::string expected) {
  CO_TRY(const std::string all, co_await read_to_end(conn));
  EXPECT_EQ(all, expected);
  co_return Result<>();
}
Task<Result<>> expect_broken(Conn& conn) {
  const Result<std::string> all = co_await read_to_end(conn);
  EXPECT_FALSE(all);
  co_return Result<>();
}
Task<Result<>> expect_write(Conn& conn, std::string text, ErrorCode expected) {
  const Result<> written = co_await conn.write(text);
  EXPECT_FALSE(written);
  EXPECT_EQ(written ? ErrorCode::Internal : written.code(), expected);
  co_return Result<>();
}

TEST_F(SimStream, CarriesEveryByteInOrderHoweverLateItsPieces) {
  auto [a, b] = pair([this] { return Duration(std::chrono::milliseconds(random.below(3000))); });
  const std::string text = some_text(500'000);
  Scope writer(loop.executor(), "writer");
  writer.spawn(write_and_end(*a, text));
  loop.run(expect_all(*b, text));
  EXPECT_EQ(writer.running(), 0u);
}

TEST_F(SimStream, HoldsTheWriterWhileNobodyReads) {
  auto [a, b] = pair([] { return Duration(1ms); });
  a->set_deadline(loop.clock.now() + 20s);
  loop.run(expect_write(*a, some_text(1'000'000), ErrorCode::DeadlineExceeded));
}

TEST_F(SimStream, AResetComesInTheMiddleOfAWrite) {
  int pieces = 0;
  auto [a, b] =
      pair([&pieces] { return ++pieces <= 3 ? std::optional<Duration>(0s) : std::nullopt; });
  loop.run(expect_write(*a, some_text(500'000), ErrorCode::Unavailable));
  loop.run(expect_broken(*b));
}

TEST_F(SimStream, APeerThatClosedIsHeardAfterWhatItSaid) {
  auto [a, b] = pair([] { return Duration(1s); });
  loop.run(a->write(std::string_view("last words")));
  a->close();
  loop.run(expect_all(*b, "last words"));
  loop.run(expect_write(*b, "too late", ErrorCode::Unavailable));
}

}  // namespace
}  // namespace mesclun::sim
