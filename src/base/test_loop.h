// For tests: runs a coroutine to its end, on virtual or on real time. Inside it use EXPECT_*, not
// ASSERT_*.
#pragma once

#include <gtest/gtest.h>

#include "base/real_clock.h"
#include "base/scope.h"
#include "base/virtual_clock.h"

namespace mesclun {

class VirtualLoop {
 public:
  asio::io_context io;
  VirtualClock clock{io};

  asio::any_io_executor executor() { return io.get_executor(); }

  void run(Task<Result<>> body, Duration limit = std::chrono::hours(1000)) {
    Scope scope(io.get_executor(), "test");
    bool ended = false;
    scope.spawn(report(std::move(body), ended));
    EXPECT_TRUE(clock.run_while_not([&] { return ended; }, limit)) << "did not end in virtual time";
    scope.cancel();
    clock.run_ready();
    clock.run_while_not([&] { return scope.running() == 0; }, 1h);
  }

 private:
  static Task<Result<>> report(Task<Result<>> body, bool& ended) {
    const Result<> result = co_await std::move(body);
    if (!result) ADD_FAILURE() << to_string(result.error());
    ended = true;
    co_return Result<>();
  }
};

class RealLoop {
 public:
  asio::io_context io;
  RealClock clock;

  asio::any_io_executor executor() { return io.get_executor(); }

  void run(Task<Result<>> body, std::chrono::seconds limit = std::chrono::seconds(30)) {
    bool ended = false;
    {
      Scope scope(io.get_executor(), "test");
      scope.spawn(report(std::move(body), ended));
      io.restart();
      const auto end = asio::steady_timer::clock_type::now() + limit;
      while (!ended && io.run_one_until(end) > 0) {
      }
      EXPECT_TRUE(ended) << "did not end within " << limit.count() << " s";
      scope.cancel();
      while (scope.running() > 0 && io.run_one_for(std::chrono::seconds(5)) > 0) {
      }
    }
    io.poll();
  }

 private:
  static Task<Result<>> report(Task<Result<>> body, bool& ended) {
    const Result<> result = co_await std::move(body);
    if (!result) ADD_FAILURE() << to_string(result.error());
    ended = true;
    co_return Result<>();
  }
};

}  // namespace mesclun
