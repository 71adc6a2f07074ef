#include "http/brief_room.h"

#include <algorithm>

#include "base/race.h"

namespace mesclun {

Task<bool> BriefRoom::stay(Clock& clock, Duration limit, Task<Result<>> visit) {
  if (places_.size() >= places_max_) {
    Place& oldest = *places_.front();
    places_.pop_front();
    oldest.pushed_out = true;
    oldest.changed.notify_all();
  }
  Place place(executor_);
  places_.push_back(&place);
  std::optional<Result<>> ended;
  const int first = co_await race(detail::store_result(std::move(visit), ended),
                                  until_over(clock, clock.now() + limit, place));
  std::erase(places_, &place);
  co_return first == 0;
}

Task<void> BriefRoom::until_over(Clock& clock, TimePoint end, Place& place) {
  while (!place.pushed_out && clock.now() < end) {
    if (!co_await place.changed.wait_until(clock, end)) co_return;
  }
}

}  // namespace mesclun
