// The output of containers, kept for a while.
#pragma once

#include <deque>
#include <set>

#include "cloud/group_followers.h"
#include "link/messages.h"
#include "store/database.h"

namespace mesclun::cloud {

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

struct LogTableSettings {
  // Kept. Beyond the bound of one organization its own oldest lines go; beyond that of all the
  // oldest lines of the organization that has most.
  int64_t lines_max = 2'000'000;
  int64_t organization_lines_max = 500'000;
  Duration retention = std::chrono::hours(24 * 90);
  // Not written yet; more are dropped and counted. One organization may use a quarter of each.
  size_t waiting_lines_max = 50'000;
  size_t waiting_bytes_max = 64 * 1024 * 1024;
};

// Runs on: the cloud's loop. Losing lines at a crash is accepted; applications never wait for them.
class LogTable {
 public:
  LogTable(const asio::any_io_executor& executor, Clock& clock, store::Database& database,
           LogTableSettings settings)
      : clock_(clock),
        database_(database),
        settings_(settings),
        arrived_(executor),
        followers_(executor) {}

  // What a node says of a group of that organization.
  void append(const std::string& machine_id, const std::string& organization_id,
              link::LogBatch batch);
  // Writes what was appended, many lines a commit; until cancelled.
  Task<Result<>> run();

  // With `after`: the oldest lines beyond that sequence; without: the newest. Oldest first. An
  // empty `instance_id` means all. Waits up to `wait` for a line if there is none.
  Task<Result<std::vector<LogRow>>> read(std::string group_id, std::string instance_id,
                                         std::optional<int64_t> after, int64_t limit,
                                         Duration wait);

  // Since the start: how often the store was asked for lines, and lines that were lost.
  int64_t reads() const { return reads_; }
  int64_t lost() const { return lost_; }

 private:
  struct Batch {
    std::string machine_id;
    std::string organization_id;
    link::LogBatch lines;
  };
  struct Load {
    size_t lines = 0;
    size_t bytes = 0;
  };
  using Batches = std::vector<Batch>;

  Task<Result<>> write(std::shared_ptr<const Batches> batches);
  Task<Result<std::vector<LogRow>>> read_once(std::string group_id, std::string instance_id,
                                              std::optional<int64_t> after, int64_t limit);
  void drop(int64_t lines) { dropped_ += lines, lost_ += lines; }

  Clock& clock_;
  store::Database& database_;
  LogTableSettings settings_;
  Notify arrived_;
  GroupFollowers followers_;
  Batches waiting_;
  Load waiting_load_;
  std::map<std::string, Load> load_of_;  // waiting, by organization
  int64_t dropped_ = 0;                  // not told yet
  int64_t lost_ = 0;
  int64_t reads_ = 0;
  TimePoint aged_{};  // when lines beyond the retention were looked for last
};

}  // namespace mesclun::cloud
