// Two tasks at once. The heavy Asio templates are instantiated once, in race.cc.
#pragma once

#include <optional>

#include "base/clock.h"
#include "base/task.h"

namespace mesclun {

// Runs both; returns when both have ended. Cancelling the caller cancels both.
Task<void> join(Task<void> a, Task<void> b);

// Runs both; when one ends the other is cancelled. Returns when both have ended: 0 if `a` was
// first, else 1.
Task<int> race(Task<void> a, Task<void> b);

namespace detail {
template <class T>
Task<void> store_result(Task<Result<T>> op, std::optional<Result<T>>& out) {
  out.emplace(co_await std::move(op));
}
Task<void> sleep_quietly(Clock& clock, Duration length);
}  // namespace detail

// Runs `op` for at most `limit`; then it is cancelled and the answer is DeadlineExceeded. A result
// that came in the same moment as the limit is not thrown away.
template <class T>
Task<Result<T>> within(Clock& clock, Duration limit, Task<Result<T>> op) {
  std::optional<Result<T>> out;
  const int first =
      co_await race(detail::store_result(std::move(op), out), detail::sleep_quietly(clock, limit));
  const bool cancelled = !out || (!*out && out->code() == ErrorCode::Cancelled);
  if (first == 1 && cancelled && !co_await cancel_requested()) {
    co_return Error::deadline("timed out");
  }
  if (!out) co_return Error::cancelled();
  co_return std::move(*out);
}

}  // namespace mesclun
