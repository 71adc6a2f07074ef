// A process that is killed at any moment, for tests and the simulator.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <utility>

#include "base/notify.h"
#include "base/race.h"

namespace mesclun {

// Coroutines cannot be cut off where they stand, but what they do to the world can. Everything that
// reaches out of a process asks here first: from the fatal effect on nothing passes, neither what a
// task was about to do nor what its orderly end would. What still runs in memory then is thrown
// away by its owner.
//
// Runs on: one loop.
class KillSwitch {
 public:
  explicit KillSwitch(const asio::any_io_executor& executor) : killed_(executor) {}
  KillSwitch(const KillSwitch&) = delete;
  KillSwitch& operator=(const KillSwitch&) = delete;

  // The kill comes right before that effect from now: 1 is the next one, 0 none. A dead process
  // lives again, as another one.
  void arm(uint64_t effect) {
    fatal_ = effect;
    effects_ = 0;
    dead_ = false;
  }
  void kill() {
    if (std::exchange(dead_, true)) return;
    // They may take themselves off the list.
    const std::list<std::function<void()>> ends = ends_;
    for (const auto& end : ends) end();
    killed_.notify_all();
  }
  bool dead() const { return dead_; }

  // One effect. False, and it must not be done, from the fatal one on.
  bool pass() {
    if (dead_) return false;
    if (++effects_ == fatal_) kill();
    return !dead_;
  }
  // One whose caller waits for an answer, which the dead never get. Cancelled.
  Task<Result<>> pass_or_hang() {
    while (!pass()) CO_TRY_DO(co_await killed_.wait());
    co_return Result<>();
  }
  // Runs `op` to its end; the kill cancels it. False: it did not end by itself.
  Task<bool> run(Task<void> op) { co_return co_await race(std::move(op), until_killed()) == 0; }
  // Until the kill, or `when`. Cancelled.
  Task<Result<>> wait_until(Clock& clock, TimePoint when) {
    while (!dead_ && clock.now() < when) CO_TRY_DO(co_await killed_.wait_until(clock, when));
    co_return Result<>();
  }

  // Called at the kill, while what is returned lives.
  std::shared_ptr<void> on_kill(std::function<void()> end) {
    const auto at = ends_.insert(ends_.end(), std::move(end));
    return {nullptr, [this, at](void*) { ends_.erase(at); }};
  }

 private:
  Task<void> until_killed() {
    while (!dead_) {
      if (!co_await killed_.wait()) break;
    }
  }

  Notify killed_;
  std::list<std::function<void()>> ends_;
  uint64_t fatal_ = 0;
  uint64_t effects_ = 0;
  bool dead_ = false;
};

}  // namespace mesclun
