// A bounded queue between tasks of one loop.
#pragma once

#include <deque>
#include <optional>

#include "base/notify.h"

namespace mesclun {

// Runs on: one loop. Order: first in, first out. push waits while full, pop waits while empty.
template <class T>
class Channel {
 public:
  Channel(const asio::any_io_executor& executor, size_t capacity)
      : changed_(executor), capacity_(capacity) {}

  bool try_push(T value) {
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(value));
    changed_.notify_all();
    return true;
  }
  Task<Result<>> push(T value) {
    while (items_.size() >= capacity_ && !closed_) CO_TRY_DO(co_await changed_.wait());
    if (closed_) co_return Error::unavailable("channel closed");
    items_.push_back(std::move(value));
    changed_.notify_all();
    co_return Result<>();
  }
  // Unavailable once closed and empty.
  Task<Result<T>> pop() {
    while (items_.empty() && !closed_) CO_TRY_DO(co_await changed_.wait());
    if (items_.empty()) co_return Error::unavailable("channel closed");
    co_return take();
  }
  std::optional<T> try_pop() {
    if (items_.empty()) return std::nullopt;
    return take();
  }
  void close() {
    closed_ = true;
    changed_.notify_all();
  }
  size_t size() const { return items_.size(); }
  bool closed() const { return closed_; }

 private:
  T take() {
    T value = std::move(items_.front());
    items_.pop_front();
    changed_.notify_all();
    return value;
  }

  Notify changed_;
  size_t capacity_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace mesclun
