// The agent's memory as files in its data folder:
//
//   node.json                 who this node is
//   allocations/<id>.json     one allocation each, replaced by renaming
//   events.jsonl              {"next_sequence": n}, then one event a line
#pragma once

#include <filesystem>

#include "agent/state_store.h"

namespace mesclun::agent {

class FileStateStore final : public StateStore {
 public:
  // Makes the folders. `folder` must be ours alone (see FolderLock).
  static Result<std::unique_ptr<FileStateStore>> open(std::filesystem::path folder);

  // What cannot be read is set aside as *.broken and said in the log: one torn file must not keep
  // the other instances from being adopted. Without node.json the node is a new one; a torn
  // node.json is FailedPrecondition, one that the system refuses to read an error too.
  Result<> check() override;
  Result<StoredState> load() override;
  Result<> save_node(const NodeRecord& node) override;
  Result<> save_allocation(const AllocationRecord& record, Durability durability) override;
  Result<> erase_allocation(const std::string& allocation_id) override;
  // Not flushed to the disk: after a power loss the last seconds may be missing, and then Welcome
  // tells the sequence that the cloud has seen.
  Result<> append_event(const link::InstanceEvent& event) override;
  Result<> replace_events(std::span<const link::InstanceEvent> events,
                          int64_t next_sequence) override;

 private:
  explicit FileStateStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path allocation_path(const std::string& allocation_id) const;
  std::string events_path() const { return (folder_ / "events.jsonl").string(); }
  void load_allocations(StoredState& state);
  void load_events(StoredState& state);

  const std::filesystem::path folder_;
  Descriptor events_;  // open for appending
};

}  // namespace mesclun::agent
