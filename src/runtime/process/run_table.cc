#include "runtime/process/run_table.h"

#include <sys/stat.h>

#include <algorithm>

namespace mesclun::runtime {

Result<> make_private_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return system_error("cannot create " + path);
}

Result<> RunTable::open() {
  TRY(lock_, FolderLock::take(files_.data(), "agent"));
  for (const std::string& folder : {files_.runs(), files_.folders(), files_.trash()}) {
    TRY_DO(make_private_folder(folder));
  }
  trash_.emplace(files_.trash());
  return {};
}

Result<RunPtr> RunTable::find(const std::string& instance_id) const {
  const auto it = runs_.find(instance_id);
  if (it == runs_.end() || !it->second->ready) {
    return Error::not_found(fmt::format("no run {}", instance_id));
  }
  return it->second;
}

Result<std::string> RunTable::take_over(const std::string& files_of) const {
  TRY(const RunPtr earlier, find(files_of));
  for (const auto& [id, run] : runs_) {
    if (run->record.files == earlier->record.files && !run->exit) {
      return Error{ErrorCode::FailedPrecondition,
                   fmt::format("run {} still uses the files of {}", id, files_of)};
    }
  }
  return earlier->record.files;
}

void RunTable::add(RunPtr run) {
  const std::string id = run->record.instance_id;
  runs_.emplace(id, std::move(run));
}

void RunTable::remove(const Run& run) {
  runs_.erase(run.record.instance_id);
  if (!uses_folder(run.record.files)) trash_->move_in(run.record.folder);
  trash_->move_in(run.folder);
}

void RunTable::discard_folders() {
  for (const std::string& name : list_folder(files_.folders())) {
    if (!uses_folder(name)) trash_->move_in(files_.folder(name));
  }
}

bool RunTable::uses_folder(std::string_view name) const {
  return std::ranges::any_of(
      runs_, [name](const auto& entry) { return entry.second->record.files == name; });
}

}  // namespace mesclun::runtime
