#include "base/service.h"

#include <gtest/gtest.h>

#include <csignal>
#include <vector>

#include "base/notify.h"
#include "base/real_clock.h"

namespace mesclun {
namespace {

Task<Result<>> raise_and_stay(int number) {
  std::raise(number);
  co_await until_cancelled();
  co_return Error::cancelled();
}

Task<Result<>> raise_and_wait(int number, const std::vector<int>& seen, Notify& changed) {
  std::raise(number);
  while (seen.empty()) CO_TRY_DO(co_await changed.wait());
  co_return Result<>();
}

TEST(RunWithSignals, CancelsTheBodyWhenToldTo) {
  asio::io_context io(1);
  std::vector<int> seen;
  const Result<> result =
      run_with_signals(io, raise_and_stay(SIGUSR1), {SIGUSR1, SIGUSR2}, [&](int number) {
        seen.push_back(number);
        return true;
      });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.code(), ErrorCode::Cancelled);
  EXPECT_EQ(seen, std::vector<int>{SIGUSR1});
}

Task<Result<>> end_in_order(int number, bool& slept) {
  std::raise(number);
  co_await until_ending();
  RealClock clock;
  slept = (co_await clock.sleep_for(20ms)).has_value();
  co_return Result<>();
}

TEST(RunWithSignals, AnOrderlyEndMayWait) {
  asio::io_context io(1);
  bool slept = false;
  EXPECT_TRUE(
      run_with_signals(io, end_in_order(SIGUSR1, slept), {SIGUSR1}, [](int) { return true; }));
  EXPECT_TRUE(slept) << "a task that is cancelled already sleeps no more";
}

TEST(RunWithSignals, LetsTheBodyGoOnOtherwise) {
  asio::io_context io(1);
  std::vector<int> seen;
  Notify changed(io.get_executor());
  const Result<> result =
      run_with_signals(io, raise_and_wait(SIGUSR2, seen, changed), {SIGUSR2}, [&](int number) {
        seen.push_back(number);
        changed.notify_all();
        return false;
      });
  EXPECT_TRUE(result);
  EXPECT_EQ(seen, std::vector<int>{SIGUSR2});
}

TEST(RunWithSignals, OnlyAPersonInsists) {
  int first = 0;
  EXPECT_TRUE(is_first_signal(SIGTERM, first));
  EXPECT_FALSE(is_first_signal(SIGHUP, first));
  EXPECT_EQ(first, SIGTERM);
  EXPECT_EXIT(is_first_signal(SIGINT, first), testing::ExitedWithCode(128 + SIGINT), "");
}

}  // namespace
}  // namespace mesclun
