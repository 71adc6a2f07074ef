// The output of containers, kept for a while.
#pragma once

#include <functional>
#include <set>

#include "cloud/group_followers.h"
#include "cloud/log_query.h"
#include "cloud/log_store.h"

namespace mesclun::cloud {

// Lines of one group's output, by their sequence.
struct LogLines {
  std::string group_id;
  std::string instance_id;  // empty: of all
  // With it: the oldest lines beyond; without: the newest.
  std::optional<int64_t> after;
  int64_t limit = 100;
  // Only lines that match; the labels of a line are those of its run and of this owner.
  std::optional<LogQuery> query;
  LogOwner owner;
};

struct LogLinesPage {
  std::vector<LogRow> rows;  // oldest first
  // All up to here were looked at: where to go on. Nothing: none is there.
  std::optional<int64_t> looked_to;
};

struct LogTableSettings {
  // Kept. Beyond the bound of one organization its own oldest lines go; beyond that of all the
  // oldest lines of the organization that has most.
  int64_t lines_max = 2'000'000;
  int64_t organization_lines_max = 500'000;
  Duration retention = std::chrono::hours(24 * 90);
  // Not written yet; more are not taken. One organization may use a quarter of each.
  size_t waiting_lines_max = 50'000;
  size_t waiting_bytes_max = 64 * 1024 * 1024;
};

// Lines with a sequence are stored once: a batch that comes again is known by it, one that finds no
// room is not taken and comes again. Lines without one are an older agent's, and dropped then.
//
// Runs on: the cloud's loop. The database may lose its newest lines when the machine loses power;
//          what was acknowledged survives the end of the process. Applications never wait for it.
class LogTable {
 public:
  using Batches = std::vector<OwnedLines>;

  LogTable(const asio::any_io_executor& executor, Clock& clock, store::Database& database,
           LogTableSettings settings)
      : clock_(clock),
        database_(database),
        settings_(settings),
        arrived_(executor),
        followers_(executor) {}

  // Hears of batches that are stored: the machine, and its highest sequence; and of all lines that
  // are new.
  struct Listener {
    std::function<void(const std::string& machine_id, int64_t sequence)> acknowledge = {};
    std::function<void(const Batches& batches)> written = {};
  };
  void listen(Listener listener) { listener_ = std::move(listener); }

  // What was stored of each machine; before anything is appended.
  Task<Result<>> load();
  // The highest sequence of the machine that is stored.
  int64_t stored(const std::string& machine_id) const;
  // What a node says of a group of that owner.
  void append(const std::string& machine_id, LogOwner owner, link::LogBatch batch);
  // What a node says of a group that is not its to speak of, or that is gone: taken, and not kept.
  void discard(const std::string& machine_id, link::LogBatch batch);
  // Writes what was appended, many lines a commit; until cancelled.
  Task<Result<>> run();

  // Waits up to `wait` for a line if there is none. A query that matches little ends after kLookMax,
  // with what was found.
  Task<Result<LogLinesPage>> read(LogLines lines, Duration wait);
  static constexpr Duration kLookMax = 10s;

  const LogTableSettings& settings() const { return settings_; }
  store::Database& database() { return database_; }

  // Since the start: how often the store was asked for lines, and lines that were lost.
  int64_t reads() const { return reads_; }
  int64_t lost() const { return lost_; }

 private:
  struct Load {
    size_t lines = 0;
    size_t bytes = 0;
  };
  struct Sequences {
    int64_t accepted = 0;  // stored, or waiting to be
    int64_t stored = 0;
  };

  bool is_new(const std::string& machine_id, const link::LogBatch& batch);
  void accepted(const std::string& machine_id, const link::LogBatch& batch);
  void settle(const Batches& batches, bool written);
  Task<Result<>> write(std::shared_ptr<const Batches> batches);
  struct Slice {
    std::vector<LogRow> rows;      // that match
    std::optional<int64_t> first;  // of all that were looked at
    std::optional<int64_t> last;
    bool full = false;  // there may be more
  };
  Task<Result<Slice>> read_once(std::shared_ptr<const LogLines> lines,
                                std::optional<int64_t> before);
  void drop(int64_t lines) { dropped_ += lines, lost_ += lines; }

  Clock& clock_;
  store::Database& database_;
  const LogTableSettings settings_;
  Listener listener_;
  Notify arrived_;
  GroupFollowers followers_;
  std::map<std::string, Sequences> sequences_;  // by machine
  Batches waiting_;
  Load waiting_load_;
  std::map<std::string, Load> load_of_;  // waiting, by organization
  int64_t dropped_ = 0;                  // not told yet
  int64_t lost_ = 0;
  int64_t reads_ = 0;
  TimePoint aged_{};  // when lines beyond the retention were looked for last
};

}  // namespace mesclun::cloud
