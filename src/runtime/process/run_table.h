// The runs of one data folder.
#pragma once

#include <map>

#include "runtime/process/run.h"
#include "runtime/process/run_files_trash.h"

namespace mesclun::runtime {

using RunPtr = std::shared_ptr<Run>;

// Which runs there are, and which working folder belongs to whom.
//
// Runs on:  one loop.
// Promise:  the folder is this table's alone, across processes. A run in the table holds its name
//           and its working folder; a working folder that no run holds any more is deleted.
class RunTable {
 public:
  explicit RunTable(std::string data_folder) : files_(std::move(data_folder)) {}

  // Makes what is missing of the data folder. FailedPrecondition: another agent uses it.
  Result<> open();

  const RunFiles& files() const { return files_; }
  const std::map<std::string, RunPtr>& all() const { return runs_; }
  // NotFound also for a run that is still being made.
  Result<RunPtr> find(const std::string& instance_id) const;
  // Whose working folder a run with these `files_of` gets. NotFound: no such run;
  // FailedPrecondition: one that uses the folder has not ended.
  Result<std::string> take_over(const std::string& files_of) const;

  void add(RunPtr run);
  void remove(const Run& run);
  // Of a run that was never in the table.
  void discard(const std::string& name) { trash_->move_in(files_.run(name)); }
  // What no run holds.
  void discard_folders();

 private:
  bool uses_folder(std::string_view name) const;

  RunFiles files_;
  std::optional<FolderLock> lock_;
  std::map<std::string, RunPtr> runs_;
  std::optional<Trash> trash_;
};

// For its owner only; one that exists is fine.
Result<> make_private_folder(const std::string& path);

}  // namespace mesclun::runtime
