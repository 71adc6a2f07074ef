#include "agent/file_state_store.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <sstream>

#include "base/ids.h"
#include "base/log.h"

namespace mesclun::agent {

namespace fs = std::filesystem;

namespace {

// Below these a run would fail half-way, or the agent could not store how one ended.
constexpr uint64_t kFreeBytesMin = 32 * 1024 * 1024;
constexpr uint64_t kFreeFilesMin = 100;
// Of one state file. An allocation holds two specs that each fitted a frame of 4 MiB; the journal
// grows to twice kEventsMax lines.
constexpr size_t kStateBytesMax = 64 * 1024 * 1024;

void set_aside(const fs::path& path, const Error& error) {
  log_error("agent", "a state file cannot be read and is set aside",
            {{"file", path.string()}, {"error", error.message}});
  std::error_code ignored;
  fs::rename(path, path.string() + ".broken", ignored);
}

}  // namespace

Result<std::unique_ptr<FileStateStore>> FileStateStore::open(fs::path folder) {
  std::error_code error;
  fs::create_directories(folder / "allocations", error);
  if (error) {
    return Error::unavailable(
        fmt::format("cannot make the data folder {}: {}", folder.string(), error.message()));
  }
  for (const fs::path& place : {folder, folder / "allocations"}) remove_drafts(place.string());
  return std::unique_ptr<FileStateStore>(new FileStateStore(std::move(folder)));
}

Result<> FileStateStore::check() {
  struct statvfs status{};
  if (::statvfs(folder_.c_str(), &status) != 0)
    return system_error("cannot look at " + folder_.string());
  const uint64_t bytes = uint64_t{status.f_bavail} * status.f_frsize;
  const bool full =
      bytes < kFreeBytesMin || (status.f_files > 0 && status.f_favail < kFreeFilesMin);
  if (!full) return {};
  return Error{ErrorCode::ResourceExhausted,
               fmt::format("the disk of {} is full: {} MiB and {} files are free", folder_.string(),
                           bytes / (1024 * 1024), status.f_favail)};
}

fs::path FileStateStore::allocation_path(const std::string& allocation_id) const {
  return folder_ / "allocations" / (allocation_id + ".json");
}

Result<StoredState> FileStateStore::load() {
  StoredState state;
  const fs::path node = folder_ / "node.json";
  // Losing the identity silently would leave the cloud with a dead twin of this node: a person
  // decides.
  const Result<std::string> text = read_file(node.string(), kStateBytesMax);
  if (text) {
    Result<NodeRecord> record = from_json_text<NodeRecord>(*text);
    if (!record) {
      return Error{ErrorCode::FailedPrecondition,
                   fmt::format("{} cannot be read ({}); remove it to join as a new node",
                               node.string(), record.error().message)};
    }
    state.node = std::move(*record);
  } else if (text.code() != ErrorCode::NotFound) {
    return text.error();
  }
  load_allocations(state);
  load_events(state);
  return state;
}

void FileStateStore::load_allocations(StoredState& state) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_ / "allocations", error)) {
    if (entry.path().extension() != ".json") continue;
    const Result<std::string> text = read_file(entry.path().string(), kStateBytesMax);
    Result<AllocationRecord> record =
        text ? from_json_text<AllocationRecord>(*text) : Result<AllocationRecord>(text.error());
    if (record) {
      state.allocations.push_back(std::move(*record));
    } else {
      set_aside(entry.path(), record.error());
    }
  }
  std::ranges::sort(state.allocations, {},
                    [](const AllocationRecord& r) { return r.assignment.allocation_id; });
}

void FileStateStore::load_events(StoredState& state) {
  const std::string path = events_path();
  const Result<std::string> text = read_file(path, kStateBytesMax);
  if (!text) {
    if (text.code() != ErrorCode::NotFound) set_aside(path, text.error());
    return;
  }
  std::istringstream lines(*text);
  std::string line;
  while (std::getline(lines, line)) {
    const Result<json::value> value = parse_json(line);
    // The last line may be cut by a power loss; what stands before it is whole.
    if (!value || !value->is_object()) continue;
    if (const json::value* next = value->get_object().if_contains("next_sequence")) {
      if (next->is_int64()) state.next_sequence = std::max(state.next_sequence, next->get_int64());
      continue;
    }
    link::InstanceEvent event;
    JsonProblems problems;
    read_json(*value, event, JsonPath{}, problems);
    if (!problems.empty()) continue;
    state.next_sequence = std::max(state.next_sequence, event.sequence + 1);
    state.events.push_back(std::move(event));
  }
}

Result<> FileStateStore::save_node(const NodeRecord& node) {
  // The cloud knows the identity at once, and for good.
  return replace_file((folder_ / "node.json").string(), to_json_text(node), Durability::PowerLoss);
}

Result<> FileStateStore::save_allocation(const AllocationRecord& record, Durability durability) {
  // The id becomes a file name.
  if (!is_uuid(record.assignment.allocation_id)) {
    return Error::invalid("an allocation id that is no uuid");
  }
  return replace_file(allocation_path(record.assignment.allocation_id).string(),
                      to_json_text(record), durability);
}

Result<> FileStateStore::erase_allocation(const std::string& allocation_id) {
  if (!is_uuid(allocation_id)) return {};
  std::error_code error;
  fs::remove(allocation_path(allocation_id), error);
  if (error) return Error::unavailable(error.message());
  return {};
}

Result<> FileStateStore::append_event(const link::InstanceEvent& event) {
  const std::string path = events_path();
  if (!events_) {
    events_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!events_) return system_error("cannot open " + path);
  }
  return write_all(events_.get(), to_json_text(event) + "\n", path);
}

Result<> FileStateStore::replace_events(std::span<const link::InstanceEvent> events,
                                        int64_t next_sequence) {
  std::string text = fmt::format("{{\"next_sequence\":{}}}\n", next_sequence);
  for (const link::InstanceEvent& event : events) text += to_json_text(event) + "\n";
  events_.reset();
  return replace_file(events_path(), text, Durability::ProcessCrash);
}

}  // namespace mesclun::agent
