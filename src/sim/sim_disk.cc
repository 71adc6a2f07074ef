#include "sim/sim_disk.h"

namespace mesclun::sim {

namespace {

// Linux writes what is dirty after 30 s.
constexpr Duration kFlushedAfter = 30s;
constexpr size_t kEarlierMax = 32;

}  // namespace

template <class File>
bool SimDisk::flushed(const std::deque<Earlier<File>>& earlier) const {
  return earlier.empty() || earlier.back().until + kFlushedAfter <= clock_.now();
}

template <class File>
void SimDisk::keep(std::deque<Earlier<File>>& earlier, File file) {
  forget_flushed(earlier);
  if (earlier.size() >= kEarlierMax) earlier.pop_front();
  earlier.push_back({clock_.now(), std::move(file)});
}

template <class File>
void SimDisk::forget_flushed(std::deque<Earlier<File>>& earlier) {
  while (!earlier.empty() && earlier.front().until + kFlushedAfter <= clock_.now()) {
    earlier.pop_front();
  }
}

// Nothing: it is as it was written last.
template <class File>
std::optional<File> SimDisk::lost(std::deque<Earlier<File>>& earlier, Random& random) {
  forget_flushed(earlier);
  const uint64_t chosen = random.below(earlier.size() + 1);
  if (chosen == earlier.size()) return std::nullopt;
  return std::move(earlier[chosen].file);
}

Result<agent::StoredState> SimDisk::load() {
  agent::StoredState state;
  state.node = node_;
  for (const auto& [id, record] : allocations_) state.allocations.push_back(record);
  state.events = journal_.events;
  state.next_sequence = journal_.next_sequence;
  return state;
}

Result<> SimDisk::save_node(const agent::NodeRecord& node) {
  node_ = node;
  return {};
}

Result<> SimDisk::save_allocation(const agent::AllocationRecord& record, Durability durability) {
  const std::string& id = record.assignment.allocation_id;
  if (durability == Durability::PowerLoss) {
    earlier_allocations_.erase(id);
  } else {
    const auto before = allocations_.find(id);
    keep(earlier_allocations_[id],
         before == allocations_.end() ? Allocation() : Allocation(before->second));
  }
  allocations_[id] = record;
  return {};
}

Result<> SimDisk::erase_allocation(const std::string& allocation_id) {
  const auto before = allocations_.find(allocation_id);
  if (before == allocations_.end()) return {};
  std::erase_if(earlier_allocations_, [&](const auto& entry) { return flushed(entry.second); });
  keep(earlier_allocations_[allocation_id], Allocation(std::move(before->second)));
  allocations_.erase(before);
  return {};
}

Result<> SimDisk::append_event(const link::InstanceEvent& event) {
  keep(earlier_journals_, journal_);
  journal_.events.push_back(event);
  journal_.next_sequence = event.sequence + 1;
  return {};
}

Result<> SimDisk::replace_events(std::span<const link::InstanceEvent> events,
                                 int64_t next_sequence) {
  keep(earlier_journals_, journal_);
  journal_ = {{events.begin(), events.end()}, next_sequence};
  return {};
}

void SimDisk::lose_power(Random& random) {
  for (auto& [id, earlier] : earlier_allocations_) {
    std::optional<Allocation> file = lost(earlier, random);
    if (!file) continue;
    if (*file) {
      allocations_[id] = **std::move(file);
    } else {
      allocations_.erase(id);
    }
  }
  earlier_allocations_.clear();
  if (std::optional<Journal> file = lost(earlier_journals_, random)) journal_ = *std::move(file);
  earlier_journals_.clear();
}

}  // namespace mesclun::sim
