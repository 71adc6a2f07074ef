// The output of containers, kept for a while.
#pragma once

#include <deque>

#include "base/notify.h"
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
  int64_t lines_max = 2'000'000;      // of all groups; the oldest go first
  size_t waiting_lines_max = 50'000;  // not written yet; more are dropped and counted
  Duration retention = std::chrono::hours(24 * 90);
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
        stored_(executor) {}

  void append(const std::string& machine_id, link::LogBatch batch);
  // Writes what was appended, many lines a commit; until cancelled.
  Task<Result<>> run();

  // With `after`: the oldest lines beyond that sequence; without: the newest. Oldest first. An
  // empty `instance_id` means all. Waits up to `wait` for a line if there is none.
  Task<Result<std::vector<LogRow>>> read(std::string group_id, std::string instance_id,
                                         std::optional<int64_t> after, int64_t limit,
                                         Duration wait);

 private:
  Task<Result<>> write(std::deque<std::pair<std::string, link::LogBatch>> batches);
  Task<Result<std::vector<LogRow>>> read_once(std::string group_id, std::string instance_id,
                                              std::optional<int64_t> after, int64_t limit);

  Clock& clock_;
  store::Database& database_;
  LogTableSettings settings_;
  Notify arrived_;
  GroupFollowers stored_;
  std::deque<std::pair<std::string, link::LogBatch>> waiting_;  // machine id, lines
  size_t waiting_lines_ = 0;
  int64_t dropped_ = 0;
  int64_t lines_since_prune_ = 0;
};

}  // namespace mesclun::cloud
