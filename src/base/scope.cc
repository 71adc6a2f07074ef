#include "base/scope.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>

#include "base/log.h"

namespace mesclun {

namespace {

Task<Result<>> run(Task<Result<>> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_return co_await std::move(task);
}

}  // namespace

Scope::Scope(const asio::any_io_executor& executor, std::string name)
    : executor_(executor), name_(std::move(name)), ended_(executor) {}

Scope::~Scope() {
  if (!tasks_.empty()) {
    log_error("scope", "destroyed while tasks run", {{"scope", name_}, {"tasks", tasks_.size()}});
    std::abort();
  }
}

void Scope::spawn(Task<Result<>> task) {
  if (stopping_) return;
  const auto entry = tasks_.insert(tasks_.end(), std::make_shared<Entry>());
  // Goes with the completion handler: a task that is destroyed where it waits, together with its
  // loop, has ended too.
  auto off_the_list = std::shared_ptr<void>(nullptr, [this, entry](void*) {
    tasks_.erase(entry);
    if (tasks_.empty()) ended_.notify_all();
  });
  auto on_end = [this, entry, listed = std::move(off_the_list)](std::exception_ptr thrown,
                                                                Result<> result) {
    if (thrown) {
      std::string what = "unknown exception";
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& e) {
        what = e.what();
      } catch (...) {
      }
      log_error("scope", "task threw", {{"scope", name_}, {"what", what}});
    } else if (!result && result.code() != ErrorCode::Cancelled) {
      log_error("scope", "task failed", {{"scope", name_}, {"error", to_string(result.error())}});
    }
    // Asio posts a cancellation to the task's executor and writes into the signal then, even if the
    // task has ended in between: the signal goes one turn later.
    asio::post(executor_, [owner = *entry] {});
  };
  asio::co_spawn(executor_, run(std::move(task)),
                 asio::bind_cancellation_slot((*entry)->signal.slot(), std::move(on_end)));
}

void Scope::cancel() {
  stopping_ = true;
  // Emitting may end tasks at once, which changes the list.
  const std::vector<std::shared_ptr<Entry>> running(tasks_.begin(), tasks_.end());
  for (const auto& entry : running) entry->signal.emit(asio::cancellation_type::terminal);
}

Task<void> Scope::stop() {
  cancel();
  co_await drain();
}

Task<void> Scope::drain() {
  while (!tasks_.empty()) {
    const Result<> woken = co_await ended_.wait();
    if (woken || tasks_.empty()) continue;
    // The waiter was cancelled, but the promise of stop() holds all the same: look again each turn
    // of the loop.
    co_await asio::post(executor_, asio::use_awaitable);
  }
}

}  // namespace mesclun
