// Room for visits that are short, and not many at once: beyond the bound of a full server, for those
// who ask only after its health; for handshakes.
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
  // So many may come while one asks: from the same machine or another one of its house.
  static constexpr size_t kPlaces = 64;
  explicit BriefRoom(const asio::any_io_executor& executor, size_t places = kPlaces)
      : executor_(executor), places_max_(places) {}

  // Runs `visit`, and cancels it after `limit`, or when as many others have come as there are places.
  // False: cancelled.
  Task<bool> stay(Clock& clock, Duration limit, Task<Result<>> visit);
  size_t visits() const { return places_.size(); }

 private:
  struct Place {
    explicit Place(const asio::any_io_executor& executor) : changed(executor) {}
    Notify changed;
    bool pushed_out = false;
  };
  static Task<void> until_over(Clock& clock, TimePoint end, Place& place);

  asio::any_io_executor executor_;
  const size_t places_max_;
  std::deque<Place*> places_;  // the oldest first
};

}  // namespace mesclun
