#include "base/channel.h"
#include "base/race.h"
#include "base/scope.h"
#include "base/service.h"
#include "base/test_loop.h"

namespace mesclun {
namespace {

Task<Result<>> append_after(Clock& clock, Duration delay, std::vector<int>& order, int value) {
  CO_TRY_DO(co_await clock.sleep_for(delay));
  order.push_back(value);
  co_return Result<>();
}

TEST(VirtualClock, WakesByTimeThenByOrderOfSleeping) {
  VirtualLoop loop;
  std::vector<int> order;
  Scope scope(loop.executor(), "test");
  scope.spawn(append_after(loop.clock, 3h, order, 4));
  scope.spawn(append_after(loop.clock, 2h, order, 2));
  scope.spawn(append_after(loop.clock, 2h, order, 3));
  scope.spawn(append_after(loop.clock, 1s, order, 1));
  loop.clock.run_for(10h);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(loop.clock.wall_now(), parse_rfc3339("2026-01-01T10:00:00Z").value());
}

Task<Result<>> sleep_then_flag(Clock& clock, Duration delay, bool& done, ErrorCode& code) {
  const Result<> slept = co_await clock.sleep_for(delay);
  done = true;
  code = slept ? ErrorCode::Internal : slept.code();
  co_return slept;
}

Task<Result<>> stop_ends_a_sleeper(Clock& clock) {
  Scope scope(co_await asio::this_coro::executor, "inner");
  bool done = false;
  ErrorCode code{};
  scope.spawn(sleep_then_flag(clock, 24h, done, code));
  CO_TRY_DO(co_await clock.sleep_for(1s));
  co_await scope.stop();
  EXPECT_TRUE(done);
  EXPECT_EQ(code, ErrorCode::Cancelled);
  co_return Result<>();
}

TEST(Scope, StopEndsTasksInTheMiddleOfAWait) {
  VirtualLoop loop;
  loop.run(stop_ends_a_sleeper(loop.clock));
  EXPECT_LT(loop.clock.now(), TimePoint(2h));
}

// Cancelled while nothing is pending: the next wait must notice.
Task<Result<>> wait_twice(Clock& clock, Scope& scope, bool& second) {
  scope.cancel();
  second = (co_await clock.sleep_for(1h)).has_value();
  co_return Result<>();
}

TEST(Scope, CancellationBetweenWaitsIsNotLost) {
  VirtualLoop loop;
  Scope scope(loop.executor(), "test");
  bool second = true;
  scope.spawn(wait_twice(loop.clock, scope, second));
  loop.clock.run_for(1s);
  EXPECT_FALSE(second);
  EXPECT_EQ(scope.running(), 0u);
}

Task<Result<int>> answer_after(Clock& clock, Duration delay, int value) {
  CO_TRY_DO(co_await clock.sleep_for(delay));
  if (value < 0) co_return Error::invalid("negative");
  co_return value;
}

Task<Result<>> within_cases(Clock& clock) {
  const Result<int> in_time = co_await within(clock, 1s, answer_after(clock, 10ms, 5));
  EXPECT_EQ(in_time.value_or(0), 5);
  const Result<int> late = co_await within(clock, 1s, answer_after(clock, 2s, 5));
  EXPECT_EQ(late.error().code, ErrorCode::DeadlineExceeded);
  // An error is passed on at once, not taken for a timeout.
  const TimePoint before = clock.now();
  const Result<int> failed = co_await within(clock, 1s, answer_after(clock, 10ms, -1));
  EXPECT_EQ(failed.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(clock.now() - before, 10ms);
  co_return Result<>();
}

TEST(Race, WithinGivesValueTimeoutOrError) {
  VirtualLoop loop;
  loop.run(within_cases(loop.clock));
}

Task<Result<>> keep(Task<Result<int>> op, ErrorCode& out) {
  const Result<int> result = co_await std::move(op);
  out = result ? ErrorCode::Internal : result.code();
  co_return Result<>();
}

TEST(Race, OuterCancellationIsNotATimeout) {
  VirtualLoop loop;
  Scope scope(loop.executor(), "test");
  ErrorCode code{};
  scope.spawn(keep(within(loop.clock, 1h, answer_after(loop.clock, 2h, 5)), code));
  loop.clock.run_for(1s);
  scope.cancel();
  loop.clock.run_for(1s);
  EXPECT_EQ(code, ErrorCode::Cancelled);
}

Task<Result<>> produce(Channel<int>& channel, int count) {
  for (int i = 0; i < count; ++i) CO_TRY_DO(co_await channel.push(i));
  channel.close();
  co_return Result<>();
}

Task<Result<>> consume(Clock& clock, Channel<int>& channel, std::vector<int>& out) {
  while (true) {
    EXPECT_LE(channel.size(), 4u);
    CO_TRY_DO(co_await clock.sleep_for(1ms));
    const Result<int> item = co_await channel.pop();
    if (!item) break;
    out.push_back(*item);
  }
  co_return Result<>();
}

TEST(Channel, IsBoundedAndKeepsOrder) {
  VirtualLoop loop;
  Channel<int> channel(loop.executor(), 4);
  Scope scope(loop.executor(), "test");
  std::vector<int> out;
  scope.spawn(produce(channel, 100));
  scope.spawn(consume(loop.clock, channel, out));
  loop.clock.run_for(1s);
  ASSERT_EQ(out.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(out));
}

Task<std::thread::id> thread_id() {
  co_return std::this_thread::get_id();
}

Task<Result<>> hop(LoopThread& other) {
  const std::thread::id here = std::this_thread::get_id();
  const std::thread::id there = co_await other.run(thread_id());
  EXPECT_NE(here, there);
  EXPECT_EQ(here, std::this_thread::get_id());
  co_return Result<>();
}

TEST(LoopThread, RunsOnItsThreadAndAnswersOnTheCallers) {
  RealLoop loop;
  // Ends, and is joined, before the loop that it answers to.
  LoopThread other("other");
  loop.run(hop(other));
}

}  // namespace
}  // namespace mesclun
