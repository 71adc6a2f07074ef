#include "base/service.h"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>

#include "base/file_limit.h"
#include "base/notify.h"
#include "base/scope.h"

namespace mesclun {

namespace {

Task<Result<>> keep_result(Task<Result<>> body, Result<>& out, bool& ended) {
  out = co_await std::move(body);
  ended = true;
  co_return Result<>();
}

}  // namespace

Result<> run_with_signals(asio::io_context& io, Task<Result<>> body,
                          std::initializer_list<int> signals,
                          const std::function<bool(int number)>& on_signal) {
  Result<> result;
  bool ended = false;
  Scope scope(io.get_executor(), "main");
  asio::signal_set set(io);
  for (const int number : signals) set.add(number);
  const std::function<void()> listen = [&] {
    set.async_wait([&](boost::system::error_code error, int number) {
      if (error) return;
      if (on_signal(number)) scope.cancel();
      listen();
    });
  };
  listen();
  scope.spawn(keep_result(std::move(body), result, ended));
  while (!ended && io.run_one() > 0) {
  }
  set.cancel();
  // Let the last handlers go before what they refer to.
  io.poll();
  return result;
}

bool is_first_signal(int number, int& first) {
  if (first == 0) {
    first = number;
    return true;
  }
  if (number != SIGHUP) ::_exit(128 + number);
  return false;
}

int run_service(std::function<Task<Result<>>(asio::io_context&)> body,
                const std::function<bool()>& on_hangup) {
  // A peer that went away is an error code of ours, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  asio::io_context io(1);
  int signalled = 0;
  Result<> result = run_with_signals(io, body(io), {SIGINT, SIGTERM, SIGHUP}, [&](int number) {
    if (number == SIGHUP && on_hangup && on_hangup()) return false;
    return is_first_signal(number, signalled);
  });
  if (signalled != 0 && !result && result.code() == ErrorCode::Cancelled) result = {};
  if (!result) {
    fmt::print(stderr, "mesclun: {}\n", result.error().message);
    return 1;
  }
  return 0;
}

Task<void> until_cancelled() {
  Notify never(co_await asio::this_coro::executor);
  while (true) {
    const Result<> woken = co_await never.wait();
    if (!woken) co_return;
  }
}

Task<void> until_ending() {
  co_await until_cancelled();
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
}

LoopThread::LoopThread(std::string name)
    : guard_(io_.get_executor()), thread_([this, name = name.substr(0, 15)] {
        ::pthread_setname_np(::pthread_self(), name.c_str());
        // Signals belong to the main loop.
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
        io_.run();
      }) {}

LoopThread::~LoopThread() {
  guard_.reset();
  thread_.join();
}

}  // namespace mesclun
