// The runs of one data folder.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "base/log.h"
#include "runtime/process/run_files.h"
#include "runtime/process/run_files_trash.h"

namespace mesclun::runtime {

// For its owner only; one that exists is fine.
Result<> make_private_folder(const std::string& path);

template <class Run>
Task<Result<>> wait_for_exit(std::shared_ptr<Run> run) {
  while (!run->exit) CO_TRY_DO(co_await run->changed.wait());
  co_return Result<>();
}

// Which runs there are, and which files belong to whom. `Run` has `record`, with `instance_id`,
// `files` (the name of its files) and `folder` (where they are), `folder` (where its own records
// are), `ready`, `exit`, and `changed`, which wakes when `exit` is there.
//
// Runs on:  one loop.
// Promise:  the folder is this table's alone, across processes. A run in the table holds its name
//           and its files; files that no run holds any more are deleted.
template <class Run>
class RunTable {
 public:
  using Ptr = std::shared_ptr<Run>;

  explicit RunTable(std::string data_folder) : files_(std::move(data_folder)) {}

  // Makes what is missing of the data folder. FailedPrecondition: another agent uses it.
  Result<> open() {
    TRY(lock_, FolderLock::take(files_.data(), "agent"));
    for (const std::string& folder : {files_.runs(), files_.folders(), files_.trash()}) {
      TRY_DO(make_private_folder(folder));
    }
    remove_drafts(files_.data());
    trash_.emplace(files_.trash());
    return {};
  }

  const RunFiles& files() const { return files_; }
  const std::map<std::string, Ptr>& all() const { return runs_; }
  // NotFound also for a run that is still being made.
  Result<Ptr> find(const std::string& instance_id) const {
    const auto it = runs_.find(instance_id);
    if (it == runs_.end() || !it->second->ready) {
      return Error::not_found(fmt::format("no run {}", instance_id));
    }
    return it->second;
  }
  // FailedPrecondition: it has ended.
  Result<Ptr> find_living(const std::string& instance_id) const {
    TRY(Ptr run, find(instance_id));
    if (!run->exit) return run;
    return Error{ErrorCode::FailedPrecondition, fmt::format("run {} has ended", instance_id)};
  }
  // FailedPrecondition: it has not.
  Result<Ptr> find_ended(const std::string& instance_id) const {
    TRY(Ptr run, find(instance_id));
    if (run->exit) return run;
    return Error{ErrorCode::FailedPrecondition, fmt::format("run {} has not ended", instance_id)};
  }
  // AlreadyExists: the name of a new run is taken.
  Result<> check_free(const std::string& instance_id) const {
    if (!runs_.contains(instance_id)) return {};
    return Error{ErrorCode::AlreadyExists, fmt::format("run {} exists", instance_id)};
  }
  // The run whose files one with these `files_of` gets. NotFound: no such run; FailedPrecondition:
  // one that uses the files has not ended.
  Result<Ptr> take_over(const std::string& files_of) const {
    TRY(const Ptr earlier, find(files_of));
    for (const auto& [id, run] : runs_) {
      if (run->record.files == earlier->record.files && !run->exit) {
        return Error{ErrorCode::FailedPrecondition,
                     fmt::format("run {} still uses the files of {}", id, files_of)};
      }
    }
    return earlier;
  }

  void add(Ptr run) {
    const std::string id = run->record.instance_id;
    runs_.emplace(id, std::move(run));
  }
  void remove(const Run& run) {
    runs_.erase(run.record.instance_id);
    if (!uses_files(run.record.files)) trash_->move_in(run.record.folder);
    trash_->move_in(run.folder);
  }
  // Of a run that was never in the table.
  void discard(const std::string& name) { trash_->move_in(files_.run(name)); }
  // What no run holds.
  void discard_files() {
    for (const std::string& name : list_folder(files_.folders())) {
      if (!uses_files(name)) trash_->move_in(files_.folder(name));
    }
  }
  bool uses_files(std::string_view name) const {
    return std::ranges::any_of(
        runs_, [name](const auto& entry) { return entry.second->record.files == name; });
  }

 private:
  RunFiles files_;
  std::optional<FolderLock> lock_;
  std::map<std::string, Ptr> runs_;
  std::optional<Trash> trash_;
};

// Puts what an earlier driver left into the table: `adopt` is called with the name of each run of the
// folder. Of one that it cannot take up, which is of a create() that was interrupted, everything goes,
// first what `forget` knows of. Cancelled only.
template <class Run>
Task<Result<>> adopt_each(RunTable<Run>& runs,
                          std::function<Task<Result<>>(const std::string& name)> adopt,
                          std::function<void(const std::string& name)> forget = {}) {
  for (const std::string& name : list_folder(runs.files().runs())) {
    const Result<> adopted = co_await adopt(name);
    if (adopted) continue;
    if (adopted.code() == ErrorCode::Cancelled) co_return adopted;
    log_warning("driver", "forgets a run that was not complete",
                {{"run", name}, {"why", adopted.error().message}});
    if (forget) forget(name);
    runs.discard(name);
  }
  co_return Result<>();
}

}  // namespace mesclun::runtime
