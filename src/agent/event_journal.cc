#include "agent/event_journal.h"

#include "base/log.h"

namespace mesclun::agent {

void EventJournal::load(std::vector<link::InstanceEvent> events, int64_t next_sequence,
                        int64_t first) {
  events_.assign(std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
  last_loaded_ = next_sequence - 1;
  next_sequence_ = std::max(next_sequence, first);
}

void EventJournal::append(link::InstanceEvent event) {
  event.sequence = next_sequence_++;
  if (const Result<> stored = store_.append_event(event); !stored) {
    log_warning("agent", "an event could not be stored", {{"error", stored.error().message}});
  }
  events_.push_back(std::move(event));
  if (events_.size() <= kEventsMax) return;
  events_.pop_front();
  ++stale_;
  if (dropped_++ == 0) {
    log_warning("agent", "too many events wait for the cloud; the oldest are dropped",
                {{"kept", kEventsMax}});
  }
  if (stale_ >= kEventsMax) rewrite();
}

void EventJournal::acknowledge(int64_t sequence) {
  // A machine that lost power may have forgotten its last events; their numbers are taken.
  if (sequence >= next_sequence_) next_sequence_ = sequence + 1;
  const size_t before = events_.size();
  while (!events_.empty() && events_.front().sequence <= sequence) events_.pop_front();
  stale_ += before - events_.size();
  // Rewriting the file for every acknowledged event would cost more than the lines do.
  if (stale_ > 0 && (events_.empty() || stale_ >= kEventsMax)) rewrite();
}

std::vector<link::InstanceEvent> EventJournal::after(int64_t sequence) const {
  const auto first =
      std::ranges::upper_bound(events_, sequence, {}, &link::InstanceEvent::sequence);
  return {first, events_.end()};
}

void EventJournal::rewrite() {
  const std::vector<link::InstanceEvent> kept(events_.begin(), events_.end());
  if (const Result<> stored = store_.replace_events(kept, next_sequence_); !stored) {
    log_warning("agent", "events could not be stored", {{"error", stored.error().message}});
    return;
  }
  stale_ = 0;
}

}  // namespace mesclun::agent
