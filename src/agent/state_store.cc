#include "agent/state_store.h"

namespace mesclun::agent {

Result<> MemoryStateStore::check() {
  if (broken) return Error::unavailable("no space left on device");
  return {};
}

Result<StoredState> MemoryStateStore::load() {
  TRY_DO(check());
  StoredState state;
  state.node = node_;
  for (const auto& [id, record] : allocations_) state.allocations.push_back(record);
  state.events = events_;
  state.next_sequence = next_sequence_;
  return state;
}

Result<> MemoryStateStore::save_node(const NodeRecord& node) {
  TRY_DO(check());
  node_ = node;
  return {};
}

Result<> MemoryStateStore::save_allocation(const AllocationRecord& record, Durability) {
  TRY_DO(check());
  allocations_[record.assignment.allocation_id] = record;
  return {};
}

Result<> MemoryStateStore::erase_allocation(const std::string& allocation_id) {
  TRY_DO(check());
  allocations_.erase(allocation_id);
  return {};
}

Result<> MemoryStateStore::append_event(const link::InstanceEvent& event) {
  TRY_DO(check());
  events_.push_back(event);
  next_sequence_ = event.sequence + 1;
  return {};
}

Result<> MemoryStateStore::replace_events(std::span<const link::InstanceEvent> events,
                                          int64_t next_sequence) {
  TRY_DO(check());
  events_.assign(events.begin(), events.end());
  next_sequence_ = next_sequence;
  return {};
}

}  // namespace mesclun::agent
