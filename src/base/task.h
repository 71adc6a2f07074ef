// The coroutine type of the whole project, and the rules that go with it.
//
// * Parameters by value; references only to parts that outlive the task (style.md, traps).
// * Our tasks return Result and do not throw. Cancellation arrives as ErrorCode::Cancelled from
//   whatever is awaited.
// * Every primitive of ours that waits (Clock, Conn, Notify, ...) first asks `cancel_requested()`:
//   a stop that was asked for while nothing was pending is not lost.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/result.h"

namespace mesclun {

namespace asio = boost::asio;

template <class T>
using Task = asio::awaitable<T>;

// True once the owner of the running task wants it to end.
inline Task<bool> cancel_requested() {
  auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

// The same without a task of its own, for what runs many thousand times a second:
// `if (is_cancelled(co_await asio::this_coro::cancellation_state)) ...`
inline bool is_cancelled(const asio::cancellation_state& state) {
  return state.cancelled() != asio::cancellation_type::none;
}

}  // namespace mesclun
