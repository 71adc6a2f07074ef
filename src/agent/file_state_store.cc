#include "agent/file_state_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/ids.h"
#include "base/log.h"

namespace mesclun::agent {

namespace fs = std::filesystem;

namespace {

Error disk_error(const fs::path& path, const char* what) {
  return Error::unavailable(
      fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(errno)));
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

Result<> write_all(int descriptor, std::string_view text, const fs::path& path) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_error(path, "write");
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<> flush_folder(const fs::path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0 || ::fsync(descriptor.get()) != 0) return disk_error(folder, "flush");
  return {};
}

// Either the old file or the whole new one is there, whenever we are killed.
Result<> replace_file(const fs::path& path, std::string_view text, Durability durability) {
  const fs::path draft = path.string() + ".new";
  {
    const Descriptor descriptor(
        ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (descriptor.get() < 0) return disk_error(draft, "write");
    TRY_DO(write_all(descriptor.get(), text, draft));
    if (durability == Durability::PowerLoss && ::fsync(descriptor.get()) != 0) {
      return disk_error(draft, "flush");
    }
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) return disk_error(path, "replace");
  if (durability == Durability::PowerLoss) return flush_folder(path.parent_path());
  return {};
}

std::optional<std::string> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

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
  return std::unique_ptr<FileStateStore>(new FileStateStore(std::move(folder)));
}

FileStateStore::~FileStateStore() {
  if (events_ >= 0) ::close(events_);
}

fs::path FileStateStore::allocation_path(const std::string& allocation_id) const {
  return folder_ / "allocations" / (allocation_id + ".json");
}

Result<StoredState> FileStateStore::load() {
  StoredState state;
  const fs::path node = folder_ / "node.json";
  if (const auto text = read_file(node)) {
    // Losing the identity silently would leave the cloud with a dead twin of this node: a person
    // decides.
    Result<NodeRecord> record = from_json_text<NodeRecord>(*text);
    if (!record) {
      return Error{ErrorCode::FailedPrecondition,
                   fmt::format("{} cannot be read ({}); remove it to join as a new node",
                               node.string(), record.error().message)};
    }
    state.node = std::move(*record);
  }
  load_allocations(state);
  load_events(state);
  return state;
}

void FileStateStore::load_allocations(StoredState& state) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_ / "allocations", error)) {
    if (entry.path().extension() != ".json") continue;
    const auto text = read_file(entry.path());
    if (!text) continue;
    Result<AllocationRecord> record = from_json_text<AllocationRecord>(*text);
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
  const auto text = read_file(folder_ / "events.jsonl");
  if (!text) return;
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
  return replace_file(folder_ / "node.json", to_json_text(node), Durability::PowerLoss);
}

Result<> FileStateStore::save_allocation(const AllocationRecord& record, Durability durability) {
  // The id becomes a file name.
  if (!is_uuid(record.assignment.allocation_id)) {
    return Error::invalid("an allocation id that is no uuid");
  }
  return replace_file(allocation_path(record.assignment.allocation_id), to_json_text(record),
                      durability);
}

Result<> FileStateStore::erase_allocation(const std::string& allocation_id) {
  if (!is_uuid(allocation_id)) return {};
  std::error_code error;
  fs::remove(allocation_path(allocation_id), error);
  if (error) return Error::unavailable(error.message());
  return {};
}

Result<> FileStateStore::append_event(const link::InstanceEvent& event) {
  const fs::path path = folder_ / "events.jsonl";
  if (events_ < 0) {
    events_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (events_ < 0) return disk_error(path, "open");
  }
  return write_all(events_, to_json_text(event) + "\n", path);
}

Result<> FileStateStore::replace_events(std::span<const link::InstanceEvent> events,
                                        int64_t next_sequence) {
  std::string text = fmt::format("{{\"next_sequence\":{}}}\n", next_sequence);
  for (const link::InstanceEvent& event : events) text += to_json_text(event) + "\n";
  if (events_ >= 0) ::close(std::exchange(events_, -1));
  return replace_file(folder_ / "events.jsonl", text, Durability::ProcessCrash);
}

Result<DataLock> DataLock::take(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  const fs::path path = folder / "lock";
  Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (descriptor.get() < 0) return disk_error(path, "open");
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return disk_error(path, "lock");
    return Error{ErrorCode::FailedPrecondition,
                 fmt::format("another agent works in {}; give this one its own --data folder",
                             folder.string())};
  }
  return DataLock(descriptor.release());
}

DataLock::~DataLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace mesclun::agent
