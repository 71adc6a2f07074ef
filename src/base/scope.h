// Owns running tasks: counts them, reports how they ended, and ends them before their surroundings
// go away.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <list>
#include <memory>
#include <string>

#include "base/notify.h"
#include "base/task.h"

namespace mesclun {

// Runs on:   one loop; `spawn` and `stop` from that loop only.
// Promise:   after `co_await stop()` no task of this scope runs. The destructor aborts if one still
//            does.
// Errors:    a task that ends with an error other than Cancelled is logged with the scope's name;
//            an exception too.
class Scope {
 public:
  Scope(const asio::any_io_executor& executor, std::string name);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // Starts the task in this turn of the loop or the next. After stop() it is dropped unstarted.
  void spawn(Task<Result<>> task);
  // Asks every task to end. Does not wait.
  void cancel();
  // Asks every task to end and waits for it. Not from a task of this scope: it would wait for
  // itself.
  Task<void> stop();
  // Waits until all tasks have ended by themselves.
  Task<void> drain();

  size_t running() const { return tasks_.size(); }
  bool stopping() const { return stopping_; }
  const asio::any_io_executor& executor() const { return executor_; }

 private:
  struct Entry {
    asio::cancellation_signal signal;
  };

  asio::any_io_executor executor_;
  std::string name_;
  std::list<std::shared_ptr<Entry>> tasks_;
  Notify ended_;
  bool stopping_ = false;
};

}  // namespace mesclun
