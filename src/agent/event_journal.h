// System events on their way to the cloud: kept, in order, until it has them.
#pragma once

#include <deque>
#include <functional>

#include "agent/state_store.h"

namespace mesclun::agent {

inline constexpr size_t kEventsMax = 1'000;

// Runs on:  the agent's loop.
// Promise:  sequences grow, by one in the life of an agent, and are never used again. Beyond
//           kEventsMax the oldest are dropped, and the log says so.
// Lifetime: the store outlives it.
class EventJournal {
 public:
  explicit EventJournal(StateStore& store) : store_(store) {}

  // New ones have `first` at least. A loss of power may have taken the last events from the disk,
  // whose sequences the cloud has seen already: so each start of an agent has a range of its own.
  void load(std::vector<link::InstanceEvent> events, int64_t next_sequence, int64_t first = 1);
  // Gives the event its sequence.
  void append(link::InstanceEvent event);
  // The cloud has everything up to there.
  void acknowledge(int64_t sequence);

  // Those after `sequence`, in order.
  std::vector<link::InstanceEvent> after(int64_t sequence) const;
  int64_t last_sequence() const { return next_sequence_ - 1; }
  int64_t last_loaded() const { return last_loaded_; }
  size_t size() const { return events_.size(); }
  uint64_t dropped() const { return dropped_; }

 private:
  void rewrite();

  StateStore& store_;
  std::deque<link::InstanceEvent> events_;
  int64_t next_sequence_ = 1;
  int64_t last_loaded_ = 0;
  size_t stale_ = 0;  // acknowledged lines that the store still has
  uint64_t dropped_ = 0;
};

}  // namespace mesclun::agent
