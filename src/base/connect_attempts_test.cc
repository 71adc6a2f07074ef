// Attempts at fake addresses, in virtual time: an address is what its port says.
#include "base/connect_attempts.h"

#include <map>

#include "base/race.h"
#include "base/test_loop.h"

namespace mesclun {
namespace {

using Address = asio::ip::tcp::endpoint;

Address address(uint16_t port, const char* host = "192.0.2.1") {
  return {asio::ip::make_address(host), port};
}

// By its port; none: it never answers.
struct Answer {
  Duration after{};
  bool refuses = false;
};

struct Network {
  Task<Result<ConnPtr>> connect(Address to) {
    tried.emplace_back(to.port(), clock.now());
    const auto it = answers.find(to.port());
    const Duration after = it == answers.end() ? 1h : it->second.after;
    if (!co_await clock.sleep_for(after)) {
      cancelled.push_back(to.port());
      co_return Error::cancelled();
    }
    if (it == answers.end() || it->second.refuses) {
      co_return Error::unavailable(std::to_string(to.port()) + " refuses");
    }
    auto [near, far] = memory_conn_pair(executor, clock);
    fars.push_back(std::move(far));
    co_return std::move(near);
  }
  ConnectTo connector() {
    return [this](Address to) { return connect(to); };
  }

  asio::any_io_executor executor;
  Clock& clock;
  std::map<uint16_t, Answer> answers;
  std::vector<std::pair<uint16_t, TimePoint>> tried = {};
  std::vector<uint16_t> cancelled = {};
  std::vector<ConnPtr> fars = {};
};

struct Dial {
  explicit Dial(std::map<uint16_t, Answer> answers)
      : network{loop.executor(), loop.clock, std::move(answers)}, began(loop.clock.now()) {}

  Task<Result<>> connect(std::vector<Address> addresses) {
    result = co_await connect_first(loop.clock, std::move(addresses), network.connector());
    took = loop.clock.now() - began;
    co_return Result<>();
  }
  void go(std::vector<Address> addresses) { loop.run(connect(std::move(addresses))); }
  Duration tried_at(size_t i) const { return network.tried.at(i).second - began; }

  VirtualLoop loop;
  Network network;
  TimePoint began;
  Result<ConnPtr> result = Error::internal("not run");
  Duration took{};
};

TEST(ConnectFirst, AnAddressThatNeverAnswersCostsOneDelay) {
  Dial dial({{2, {.after = 10ms}}});
  dial.go({address(1), address(2), address(3)});
  EXPECT_TRUE(dial.result.has_value());
  ASSERT_EQ(dial.network.tried.size(), 2u) << "the third is not needed";
  EXPECT_EQ(dial.tried_at(1), kAttemptDelay);
  EXPECT_EQ(dial.took, kAttemptDelay + 10ms);
  EXPECT_EQ(dial.network.cancelled, std::vector<uint16_t>{1});
}

TEST(ConnectFirst, ARefusalBringsTheNextAtOnce) {
  Dial dial({{1, {.refuses = true}}, {3, {.after = 5ms, .refuses = true}}, {4, {.after = 1ms}}});
  dial.go({address(1), address(2), address(3), address(4)});
  EXPECT_TRUE(dial.result.has_value());
  EXPECT_EQ(dial.tried_at(1), 0ms);
  EXPECT_EQ(dial.tried_at(2), kAttemptDelay) << "the second is silent";
  EXPECT_EQ(dial.tried_at(3), kAttemptDelay + 5ms) << "the silent one holds up nobody";
  EXPECT_EQ(dial.network.cancelled, std::vector<uint16_t>{2});
}

TEST(ConnectFirst, AnEarlierOneMayStillWin) {
  Dial dial({{1, {.after = kAttemptDelay + 50ms}}});
  dial.go({address(1), address(2)});
  EXPECT_TRUE(dial.result.has_value());
  EXPECT_EQ(dial.took, kAttemptDelay + 50ms);
  EXPECT_EQ(dial.network.cancelled, std::vector<uint16_t>{2});
}

TEST(ConnectFirst, FailsWithTheLastErrorWhenAllHaveFailed) {
  Dial dial({{1, {.after = 2s, .refuses = true}}, {2, {.after = 1s, .refuses = true}}});
  dial.go({address(1), address(2)});
  ASSERT_FALSE(dial.result.has_value());
  EXPECT_EQ(dial.result.error().message, "1 refuses");
  EXPECT_EQ(dial.took, 2s);
  Dial none({});
  none.go({});
  ASSERT_FALSE(none.result.has_value());
  EXPECT_EQ(none.result.code(), ErrorCode::Unavailable);
}

Task<Result<>> connect_within(Dial& dial, Duration limit) {
  std::vector<Address> addresses = {address(1), address(2)};
  Task<Result<ConnPtr>> connecting =
      connect_first(dial.loop.clock, std::move(addresses), dial.network.connector());
  dial.result = co_await within(dial.loop.clock, limit, std::move(connecting));
  co_return Result<>();
}

TEST(ConnectFirst, AllEndAtTheCallersLimit) {
  Dial dial({});
  dial.loop.run(connect_within(dial, 5s));
  ASSERT_FALSE(dial.result.has_value());
  EXPECT_EQ(dial.result.code(), ErrorCode::DeadlineExceeded);
  EXPECT_EQ(dial.network.cancelled, (std::vector<uint16_t>{1, 2}));
}

TEST(ConnectFirst, FamiliesTakeTurns) {
  const std::vector<Address> found = {address(1, "2001:db8::1"), address(2, "2001:db8::2"),
                                      address(3, "2001:db8::3"), address(4)};
  std::vector<uint16_t> ports;
  for (const Address& each : interleaved(found)) ports.push_back(each.port());
  EXPECT_EQ(ports, (std::vector<uint16_t>{1, 4, 2, 3}));
  EXPECT_TRUE(interleaved({}).empty());
}

}  // namespace
}  // namespace mesclun
