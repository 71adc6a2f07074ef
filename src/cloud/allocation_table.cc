#include "cloud/allocation_table.h"

namespace mesclun::cloud {

namespace {

constexpr size_t kLeftMax = 20'000;

constexpr int32_t GroupTally::* kParts[] = {
    &GroupTally::members,    &GroupTally::counted,  &GroupTally::done,    &GroupTally::failed,
    &GroupTally::allocating, &GroupTally::creating, &GroupTally::running, &GroupTally::stopping};

void drop(std::map<std::string, AllocationTable::Ids>& index, const std::string& key,
          const std::string& id) {
  const auto found = index.find(key);
  found->second.erase(id);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

GroupTally& GroupTally::operator+=(const GroupTally& more) {
  for (const auto part : kParts) this->*part += more.*part;
  return *this;
}

GroupTally& GroupTally::operator-=(const GroupTally& less) {
  for (const auto part : kParts) this->*part -= less.*part;
  return *this;
}

GroupTally tally_of(const Allocation& allocation) {
  GroupTally out{.members = 1};
  if (allocation.counts()) {
    out.counted = 1;
    out.done = allocation.done() ? 1 : 0;
    out.failed = allocation.status.outcome == link::RunOutcome::Failed ? 1 : 0;
  }
  if (allocation.lost || allocation.done()) return out;
  switch (allocation.state()) {
    case api::InstanceState::Allocating:
      out.allocating = 1;
      break;
    case api::InstanceState::Downloading:
    case api::InstanceState::Creating:
      out.creating = 1;
      break;
    case api::InstanceState::Running:
      out.running = 1;
      break;
    case api::InstanceState::Stopping:
      out.stopping = 1;
      break;
  }
  return out;
}

AllocationTable::Before::Before(const Allocation& allocation)
    : node_id(allocation.node_id),
      instance_id(allocation.status.instance_id),
      wish(allocation.wish),
      share(allocation.share),
      gpu(allocation.gpu),
      tally(tally_of(allocation)),
      leave_by(allocation.leaving() ? allocation.leave_by : 0),
      wanted(allocation.wanted()),
      done(allocation.done()),
      serves(allocation.serves()) {}

void AllocationTable::restore(std::vector<Allocation> allocations) {
  allocations_.clear();
  by_group_.clear();
  by_node_.clear();
  by_slot_.clear();
  by_instance_.clear();
  waiting_.clear();
  leaving_.clear();
  for (Allocation& row : allocations) index(allocations_[row.id] = std::move(row));
}

const Allocation& AllocationTable::add(Allocation allocation) {
  const std::string id = allocation.id;
  const Allocation& added = allocations_[id] = std::move(allocation);
  index(added);
  marks_.allocations.insert(id);
  marks_.routes.insert(added.group_id);
  marks_.review.insert(added.group_id);
  if (added.placed()) {
    marks_.desired.insert(added.node_id);
    marks_.offers.insert(added.node_id);
  } else {
    marks_.seek.insert(added.group_id);
  }
  return added;
}

void AllocationTable::erase(const std::string& id) {
  const auto found = allocations_.find(id);
  if (found == allocations_.end()) return;
  const Allocation& gone = found->second;
  marks_.allocations.insert(gone.id);
  marks_.routes.insert(gone.group_id);
  marks_.review.insert(gone.group_id);
  if (gone.placed()) {
    marks_.desired.insert(gone.node_id);
    marks_.offers.insert(gone.node_id);
    drop(by_node_, gone.node_id, gone.id);
    note_left(gone.node_id, gone.group_id);
  } else {
    end_wait(gone);
  }
  const auto members = by_group_.find(gone.group_id);
  members->second.ids.erase(gone.id);
  members->second.tally -= tally_of(gone);
  if (members->second.ids.empty()) by_group_.erase(members);
  drop(by_slot_, gone.slot, gone.id);
  by_instance_.erase({gone.status.instance_id, gone.id});
  leaving_.erase({gone.leave_by, gone.id});
  allocations_.erase(found);
}

void AllocationTable::note_left(const std::string& node_id, const std::string& group_id) {
  ++left_counts_[{node_id, group_id}];
  left_.emplace_back(node_id, group_id);
  if (left_.size() <= kLeftMax) return;
  const auto oldest = left_counts_.find(left_.front());
  if (--oldest->second == 0) left_counts_.erase(oldest);
  left_.pop_front();
}

bool AllocationTable::was_on(const std::string& node_id, const std::string& group_id) const {
  return left_counts_.contains({node_id, group_id});
}

void AllocationTable::index(const Allocation& allocation) {
  Members& members = by_group_[allocation.group_id];
  members.ids.insert(allocation.id);
  members.tally += tally_of(allocation);
  by_slot_[allocation.slot].insert(allocation.id);
  by_instance_.emplace(allocation.status.instance_id, allocation.id);
  if (allocation.leaving()) leaving_.emplace(allocation.leave_by, allocation.id);
  if (allocation.placed()) {
    by_node_[allocation.node_id].insert(allocation.id);
  } else {
    wait(allocation);
  }
}

void AllocationTable::wait(const Allocation& allocation) {
  waiting_[allocation.group_id].emplace(allocation.create_time, allocation.id);
}

void AllocationTable::end_wait(const Allocation& allocation) {
  const auto found = waiting_.find(allocation.group_id);
  found->second.erase({allocation.create_time, allocation.id});
  if (found->second.empty()) waiting_.erase(found);
  marks_.seek.insert(allocation.group_id);
}

void AllocationTable::reindex(const Allocation& allocation, const Before& before) {
  const GroupTally tally = tally_of(allocation);
  if (tally != before.tally) {
    GroupTally& sum = by_group_.at(allocation.group_id).tally;
    sum -= before.tally;
    sum += tally;
  }
  const bool moved = allocation.node_id != before.node_id;
  if (moved) move(allocation, before.node_id);
  const bool another_run = allocation.status.instance_id != before.instance_id;
  if (another_run) {
    by_instance_.erase({before.instance_id, allocation.id});
    by_instance_.emplace(allocation.status.instance_id, allocation.id);
  }

  if (before.leave_by != 0) leaving_.erase({before.leave_by, allocation.id});
  if (allocation.leaving()) leaving_.emplace(allocation.leave_by, allocation.id);

  marks_.allocations.insert(allocation.id);
  marks_.review.insert(allocation.group_id);
  const bool ends = allocation.wanted() != before.wanted || allocation.done() != before.done;
  if (allocation.placed() && (moved || ends || allocation.wish != before.wish)) {
    marks_.desired.insert(allocation.node_id);
  }
  if (moved || ends || another_run || allocation.serves() != before.serves) {
    marks_.routes.insert(allocation.group_id);
  }
  // A new version may need less, or less of a kind.
  const bool eases = allocation.wish.version != before.wish.version;
  if (eases && !allocation.placed()) marks_.seek.insert(allocation.group_id);
  // What is done holds nothing.
  const bool holds_other = allocation.share != before.share || allocation.gpu != before.gpu ||
                           allocation.done() != before.done;
  if (allocation.placed() && holds_other) marks_.offers.insert(allocation.node_id);
}

void AllocationTable::move(const Allocation& allocation, const std::string& from) {
  if (from.empty()) {
    end_wait(allocation);
    marks_.placed.insert(allocation.id);
  } else {
    drop(by_node_, from, allocation.id);
    marks_.desired.insert(from);
    marks_.offers.insert(from);
  }
  if (allocation.placed()) {
    by_node_[allocation.node_id].insert(allocation.id);
    marks_.offers.insert(allocation.node_id);
  } else {
    wait(allocation);
    marks_.seek.insert(allocation.group_id);
  }
}

const Allocation* AllocationTable::find(const std::string& id) const {
  const auto found = allocations_.find(id);
  return found == allocations_.end() ? nullptr : &found->second;
}

std::vector<const Allocation*> AllocationTable::of_instance(const std::string& instance_id) const {
  std::vector<const Allocation*> out;
  for (auto entry = by_instance_.lower_bound({instance_id, ""});
       entry != by_instance_.end() && entry->first == instance_id; ++entry) {
    out.push_back(&allocations_.at(entry->second));
  }
  return out;
}

const AllocationTable::Ids& AllocationTable::ids_in(const Index& index, const std::string& key) {
  static const Ids kNone;
  const auto found = index.find(key);
  return found == index.end() ? kNone : found->second;
}

const AllocationTable::Ids& AllocationTable::of_group(const std::string& group_id) const {
  static const Ids kNone;
  const auto found = by_group_.find(group_id);
  return found == by_group_.end() ? kNone : found->second.ids;
}

const AllocationTable::Line& AllocationTable::waiting_of(const std::string& group_id) const {
  static const Line kNone;
  const auto found = waiting_.find(group_id);
  return found == waiting_.end() ? kNone : found->second;
}

const GroupTally& AllocationTable::tally(const std::string& group_id) const {
  static const GroupTally kNone;
  const auto found = by_group_.find(group_id);
  return found == by_group_.end() ? kNone : found->second.tally;
}

}  // namespace mesclun::cloud
