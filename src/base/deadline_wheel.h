// Deadlines of many connections for the price of one timer.
#pragma once

#include <array>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>

#include "base/task.h"

namespace mesclun {

// Moving a deadline forward, which a busy connection does at every message, only stores a number:
// the entry is looked at again when its old slot comes up. One turn of the wheel is 512 slots of
// 100 ms; longer deadlines ride along.
//
// Runs on: one loop; one wheel an io_context (asio::use_service).
class DeadlineWheel : public asio::execution_context::service {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kTick{100};

  class Entry {
   public:
    Entry() = default;
    ~Entry() { unlink(); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    time_point deadline() const { return deadline_; }

   private:
    friend class DeadlineWheel;
    void unlink();

    std::function<void()> expired_;
    time_point deadline_ = time_point::max();
    time_point slot_time_ = time_point::max();  // when the slot that we hang in comes up
    DeadlineWheel* wheel_ = nullptr;
    Entry* prev_ = nullptr;
    Entry* next_ = nullptr;
  };

  static asio::execution_context::id id;
  using key_type = DeadlineWheel;
  explicit DeadlineWheel(asio::execution_context& context);

  // Calls `expired` on the loop, once, when `deadline` has passed; max means never.
  void watch(Entry& entry, std::function<void()> expired) { entry.expired_ = std::move(expired); }
  void set(Entry& entry, time_point deadline);

  size_t watched() const { return watched_; }

 private:
  static constexpr size_t kSlots = 512;

  void shutdown() override;
  void insert(Entry& entry);
  void start_timer();
  void on_tick();
  int64_t tick_of(time_point time) const { return time.time_since_epoch() / kTick; }

  asio::steady_timer timer_;
  std::array<Entry*, kSlots> slots_{};
  int64_t last_tick_ = 0;
  size_t watched_ = 0;
  bool ticking_ = false;
};

}  // namespace mesclun
