// The state store as an agent sees it that may be killed.
#pragma once

#include "agent/state_store.h"
#include "base/kill_switch.h"

namespace mesclun::agent {

// Every write is an effect.
//
// Lifetime: store and switch outlive it.
class MortalStore final : public StateStore {
 public:
  MortalStore(StateStore& store, KillSwitch& kill) : store_(store), kill_(kill) {}

  Result<> check() override { return store_.check(); }
  Result<StoredState> load() override { return store_.load(); }
  Result<> save_node(const NodeRecord& node) override {
    return kill_.pass() ? store_.save_node(node) : killed();
  }
  Result<> save_allocation(const AllocationRecord& record, Durability durability) override {
    return kill_.pass() ? store_.save_allocation(record, durability) : killed();
  }
  Result<> erase_allocation(const std::string& allocation_id) override {
    return kill_.pass() ? store_.erase_allocation(allocation_id) : killed();
  }
  Result<> append_event(const link::InstanceEvent& event) override {
    return kill_.pass() ? store_.append_event(event) : killed();
  }
  Result<> replace_events(std::span<const link::InstanceEvent> events,
                          int64_t next_sequence) override {
    return kill_.pass() ? store_.replace_events(events, next_sequence) : killed();
  }

 private:
  static Result<> killed() { return Error::unavailable("killed"); }

  StateStore& store_;
  KillSwitch& kill_;
};

}  // namespace mesclun::agent
