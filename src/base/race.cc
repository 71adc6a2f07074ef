#include "base/race.h"

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace mesclun {

namespace {

// A spawned branch has a cancellation state of its own, which throws unless told otherwise.
Task<void> branch(Task<void> op) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(op);
}

}  // namespace

Task<void> join(Task<void> a, Task<void> b) {
  using namespace asio::experimental::awaitable_operators;
  co_await (branch(std::move(a)) && branch(std::move(b)));
}

Task<int> race(Task<void> a, Task<void> b) {
  using namespace asio::experimental::awaitable_operators;
  auto first = co_await (branch(std::move(a)) || branch(std::move(b)));
  co_return static_cast<int>(first.index());
}

namespace detail {

Task<void> sleep_quietly(Clock& clock, Duration length) {
  // An interrupted sleep only means that the other branch was first.
  std::ignore = co_await clock.sleep_for(length);
}

}  // namespace detail

}  // namespace mesclun
