// The log's rows in the database: how they are written, found and given up.
#pragma once

#include <span>

#include "cloud/log_entry.h"
#include "link/messages.h"
#include "store/database.h"

namespace mesclun::cloud {

// Whose a line is. Kept beside the lines: they outlive their group.
struct LogOwner {
  std::string organization_id;
  std::string project_name;
  std::string group_name;
};

struct LogRow {
  int64_t sequence = 0;
  int64_t time = 0;  // unix ns, the node's clock
  int64_t receive_time = 0;
  std::string stream;
  std::string text;
  std::string instance_id;
  std::string machine_id;
  int32_t version = 1;
};

// As answers and queries have it. Of a group's own events, deployment_controller, the labels name no
// run; labels that nobody knows are left out.
LogEntry entry_of(std::string resource_type, const LogRow& row, const LogOwner& owner);

// Lines of one run, and who said them.
struct OwnedLines {
  std::string machine_id;
  LogOwner owner;
  link::LogBatch batch;
};

// A system event, as a line of the log.
struct OwnedEvent {
  LogOwner owner;
  std::string resource_type;
  std::string group_id;
  std::string instance_id;
  std::string machine_id;
  int32_t version = 1;
  int64_t time = 0;
  std::string name;
};

// No two entries of an organization have the same time, so that a page can end between any two of
// them. In steps of this: as fine as an answer shows it.
inline constexpr int64_t kLogTick = 100;  // ns

// The time of an entry that was said to be of `said`, unix ns: not after it was received, and of a
// machine whose clock is far behind the time of receipt, so that it can be found.
int64_t entry_time(int64_t said, int64_t received, int64_t retention);

struct LogSizes {
  int64_t lines_max = 0;
  int64_t organization_lines_max = 0;
  int64_t retention = 0;  // ns
};

// All are run inside a transaction of the log's database; times are unix ns.
Result<> insert_lines(store::Transaction& tx, const OwnedLines& lines, int64_t now,
                      int64_t retention);
// `cursor`: the newest event that is in the log then.
Result<> insert_events(store::Transaction& tx, std::span<const OwnedEvent> events, int64_t cursor,
                       int64_t now, int64_t retention);
Result<int64_t> load_event_cursor(store::Transaction& tx);
// The newest batch of each machine.
Result<std::map<std::string, int64_t>> load_log_sequences(store::Transaction& tx);

Result<> remove_beyond(store::Transaction& tx, const std::string& organization_id,
                       const LogSizes& sizes);
Result<> remove_from_largest(store::Transaction& tx, const LogSizes& sizes);
Result<> remove_aged(store::Transaction& tx, int64_t now, const LogSizes& sizes);

// A part of an organization's entries, [start, end), in one order.
struct LogRange {
  std::string organization_id;
  int64_t start = 0;
  int64_t end = 0;
  bool descending = true;
};
Result<std::vector<LogEntry>> load_entries(store::Transaction& tx, const LogRange& range,
                                           int64_t limit);

}  // namespace mesclun::cloud
