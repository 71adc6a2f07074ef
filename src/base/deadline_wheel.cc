#include "base/deadline_wheel.h"

#include "base/real_clock.h"

namespace mesclun {

namespace {

DeadlineWheel::time_point real_now() {
  return DeadlineWheel::time_point(RealClock().now().time_since_epoch());
}

}  // namespace

asio::execution_context::id DeadlineWheel::id;

DeadlineWheel::DeadlineWheel(asio::execution_context& context)
    : service(context), timer_(static_cast<asio::io_context&>(context).get_executor()) {}

void DeadlineWheel::Entry::unlink() {
  if (wheel_ == nullptr) return;
  if (prev_ != nullptr) {
    prev_->next_ = next_;
  } else {
    wheel_->slots_[static_cast<size_t>(wheel_->tick_of(slot_time_)) % kSlots] = next_;
  }
  if (next_ != nullptr) next_->prev_ = prev_;
  --wheel_->watched_;
  wheel_ = nullptr;
  prev_ = next_ = nullptr;
}

void DeadlineWheel::set(Entry& entry, time_point deadline) {
  entry.deadline_ = deadline;
  if (deadline == time_point::max()) return;  // stays linked; it is dropped when its slot comes up
  if (entry.wheel_ != nullptr && entry.slot_time_ <= deadline + kTick) return;
  entry.unlink();
  insert(entry);
}

void DeadlineWheel::insert(Entry& entry) {
  if (!ticking_) start_timer();
  // The slot after the deadline, so that it has passed when we look; at most one turn ahead.
  const int64_t tick = std::min(std::max(tick_of(entry.deadline_) + 1, last_tick_ + 1),
                                last_tick_ + static_cast<int64_t>(kSlots) - 1);
  entry.slot_time_ = time_point(kTick * tick);
  Entry*& slot = slots_[static_cast<size_t>(tick) % kSlots];
  entry.next_ = slot;
  entry.prev_ = nullptr;
  if (slot != nullptr) slot->prev_ = &entry;
  slot = &entry;
  entry.wheel_ = this;
  ++watched_;
}

void DeadlineWheel::start_timer() {
  ticking_ = true;
  last_tick_ = tick_of(real_now());
  timer_.expires_at(time_point(kTick * (last_tick_ + 1)));
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error) on_tick();
  });
}

void DeadlineWheel::on_tick() {
  const time_point now = real_now();
  const int64_t now_tick = tick_of(now);
  // After a long pause of the process one turn looks at every slot.
  last_tick_ = std::max(last_tick_, now_tick - static_cast<int64_t>(kSlots));
  while (last_tick_ < now_tick) {
    ++last_tick_;
    Entry*& slot = slots_[static_cast<size_t>(last_tick_) % kSlots];
    while (slot != nullptr) {
      Entry& entry = *slot;
      entry.unlink();
      if (entry.deadline_ == time_point::max()) continue;
      if (entry.deadline_ > now) {
        insert(entry);
        continue;
      }
      entry.deadline_ = time_point::max();
      entry.expired_();
    }
  }
  if (watched_ == 0) {
    ticking_ = false;
    return;
  }
  timer_.expires_at(time_point(kTick * (last_tick_ + 1)));
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error) on_tick();
  });
}

void DeadlineWheel::shutdown() {
  for (Entry*& slot : slots_) {
    while (slot != nullptr) slot->unlink();
  }
}

}  // namespace mesclun
