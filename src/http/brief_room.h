// Room beyond the bound of a full server, for those who ask only after its health.
#pragma once

#include <deque>

#include "base/clock.h"
#include "base/notify.h"

namespace mesclun {

// Whoever comes last pushes out who came first: who asks at once is answered, however many others
// connect and say nothing.
//
// Runs on:   one loop.
// Lifetime:  outlives its visits.
class BriefRoom {
 public:
  explicit BriefRoom(const asio::any_io_executor& executor) : executor_(executor) {}

  // Runs `visit`, and cancels it after `limit`, or when kPlaces others have come. False: cancelled.
  Task<bool> stay(Clock& clock, Duration limit, Task<Result<>> visit);

  // So many may come while one asks: from the same machine or another one of its house.
  static constexpr size_t kPlaces = 64;

 private:
  struct Place {
    explicit Place(const asio::any_io_executor& executor) : changed(executor) {}
    Notify changed;
    bool pushed_out = false;
  };
  static Task<void> until_over(Clock& clock, TimePoint end, Place& place);

  asio::any_io_executor executor_;
  std::deque<Place*> places_;  // the oldest first
};

}  // namespace mesclun
