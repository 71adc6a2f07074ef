// Looks through an organization's log for entries that match a query.
#pragma once

#include "cloud/log_query.h"
#include "cloud/log_store.h"

namespace mesclun::cloud {

struct LogSearchSettings {
  // Of one search; then what was found is the answer, and the page ends where it was.
  Duration time_max = 10s;
  // Looked at by one turn of the reader, so that others' questions are answered between them:
  // entries, and their bytes times the query's clauses.
  int64_t slice_entries = 500;
  size_t slice_work = 4 * 1024 * 1024;
};

struct LogSearch {
  LogRange range;
  LogQuery query;
  size_t page_size = 100;
};

// Some of the range, [min_time, max_time), with all that matches in it; the rest of the range is
// before min_time or, of an ascending one, from max_time on.
struct LogPage {
  std::vector<LogEntry> entries;  // in the range's order
  int64_t min_time = 0;
  int64_t max_time = 0;
  bool whole = false;  // nothing matches in the rest
  int64_t looked_at = 0;
};

// Runs on: any loop; the clock outlives it. Times are unix ns.
Task<Result<LogPage>> search_log(store::Database& database, Clock& clock, LogSearch search,
                                 LogSearchSettings settings);

}  // namespace mesclun::cloud
