// The disk of a machine: what was not flushed to it may be lost with the power.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "agent/state_store.h"
#include "base/random.h"

namespace mesclun::sim {

// Outlives agents and power. What survives which crash is as FileStateStore says.
class SimDisk final : public agent::StateStore {
 public:
  explicit SimDisk(Clock& clock) : clock_(clock) {}

  Result<> check() override { return {}; }
  Result<agent::StoredState> load() override;
  Result<> save_node(const agent::NodeRecord& node) override;
  Result<> save_allocation(const agent::AllocationRecord& record, Durability durability) override;
  Result<> erase_allocation(const std::string& allocation_id) override;
  Result<> append_event(const link::InstanceEvent& event) override;
  Result<> replace_events(std::span<const link::InstanceEvent> events,
                          int64_t next_sequence) override;

  // Each file is as it was at some moment since it was flushed, by us or by the system in its own
  // time.
  void lose_power(Random& random);

 private:
  struct Journal {
    std::vector<link::InstanceEvent> events;
    int64_t next_sequence = 1;
  };
  template <class File>
  struct Earlier {
    TimePoint until;  // when it was replaced
    File file;
  };
  using Allocation = std::optional<agent::AllocationRecord>;

  template <class File>
  bool flushed(const std::deque<Earlier<File>>& earlier) const;
  template <class File>
  void forget_flushed(std::deque<Earlier<File>>& earlier);
  template <class File>
  void keep(std::deque<Earlier<File>>& earlier, File file);
  template <class File>
  std::optional<File> lost(std::deque<Earlier<File>>& earlier, Random& random);

  Clock& clock_;
  agent::NodeRecord node_;
  std::map<std::string, agent::AllocationRecord> allocations_;
  Journal journal_;
  // Not flushed since, oldest first.
  std::map<std::string, std::deque<Earlier<Allocation>>> earlier_allocations_;
  std::deque<Earlier<Journal>> earlier_journals_;
};

}  // namespace mesclun::sim
