// Running a role: a loop on the main thread, or on a thread of its own, and an orderly end.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <initializer_list>
#include <thread>

#include "base/task.h"

namespace mesclun {

// Runs `body` on `io` to its end. Each of `signals` that comes meanwhile goes to `on_signal`, on the
// loop; true from it cancels the body.
Result<> run_with_signals(asio::io_context& io, Task<Result<>> body,
                          std::initializer_list<int> signals,
                          const std::function<bool(int number)>& on_signal);

// For `on_signal`: true for the first one, which is noted in `first` (0 before). A second one ends
// the process at once; SIGHUP never does: a parent or terminal that went away asks once, only a
// person insists.
bool is_first_signal(int number, int& first);

// Runs `body` on a fresh loop until it ends, or until SIGINT, SIGTERM or SIGHUP cancels it; a second
// signal ends the process at once. Returns the exit status: 0, or 1 after printing the error.
// `on_hangup` gets SIGHUP, and true from it means that this was all.
int run_service(std::function<Task<Result<>>(asio::io_context&)> body,
                const std::function<bool()>& on_hangup = {});

// Completes when the owner cancels the task: `co_await until_cancelled()` at the end of a service's
// body.
Task<void> until_cancelled();

// The same, and from then on nothing cancels the caller's task: what follows is its orderly end, which
// may wait for what is under way and must not be cut short by the signal that asked for it.
Task<void> until_ending();

// A loop with a thread of its own. Work is handed to it with asio::post or asio::co_spawn on
// executor().
class LoopThread {
 public:
  explicit LoopThread(std::string name);
  ~LoopThread();
  asio::any_io_executor executor() { return io_.get_executor(); }

  // Runs `task` on this loop and gives its result to the caller, on the caller's loop.
  template <class T>
  Task<T> run(Task<T> task) {
    co_return co_await asio::co_spawn(io_.get_executor(), std::move(task), asio::use_awaitable);
  }

 private:
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  std::thread thread_;
};

}  // namespace mesclun
