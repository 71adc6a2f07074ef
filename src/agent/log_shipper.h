// Carries the output of runs to the cloud: each line once, bounded, never in the application's way.
#pragma once

#include <map>

#include "agent/log_spool.h"
#include "base/notify.h"
#include "link/session.h"
#include "runtime/driver.h"

namespace mesclun::agent {

struct LogSource {
  std::string instance_id;
  std::string group_id;
  int32_t version = 1;
};

struct LogLimits {
  Duration interval = 200ms;  // between looks at the runs; 0: nothing is shipped
  size_t lines_per_read = 1'000;
  size_t line_bytes_max = 16 * 1024;  // the rest of a longer line is cut off
  size_t batch_bytes_max = 256 * 1024;
  // On the disk, of all runs: what the cloud has not stored yet.
  size_t spool_bytes_max = 64 * 1024 * 1024;
  // A session ends when 256 messages wait. Four a round are 20 a second, so the connection may
  // stall for 10 s.
  size_t batches_per_round = 4;
  // Said and not acknowledged; and after how long without an acknowledgement it is said again.
  size_t waiting_bytes_max = 4 * 1024 * 1024;
  Duration say_again = 10s;
};

// Lines are read while a session stands: without one the driver keeps those of live runs as long as
// it can. What is read goes to the spool before the driver hears of it.
//
// Runs on: the agent's loop.
class LogShipper {
 public:
  // Without segments: in memory.
  LogShipper(const asio::any_io_executor& executor, runtime::ContainerDriver& driver, Clock& clock,
             LogLimits limits, LogSegments* segments = nullptr);

  // What an earlier process left; before anything else.
  void load(int64_t first_sequence) { spool_.load(first_sequence); }
  void add(LogSource source);
  // The run ended: takes what is left before the driver forgets it.
  Task<Result<>> finish(std::string instance_id);

  // A session begins; what the cloud said of it (LogSpool).
  void begin(std::optional<int64_t> stored) { spool_.begin(stored); }
  void acknowledge(int64_t sequence);
  // Ships until the session ends or the caller is cancelled.
  Task<Result<>> ship(link::Session& session);

  const LogSpool& spool() const { return spool_; }

 private:
  struct Stream {
    LogSource source;
    bool reading = false;
    bool fresh = true;  // not read by this process
  };

  Task<Result<size_t>> read(std::string instance_id);
  void keep(Stream& stream, std::vector<runtime::LogChunk> chunks);
  Task<Result<>> read_round();
  Result<> send_round(link::Session& session);

  runtime::ContainerDriver& driver_;
  Clock& clock_;
  const LogLimits limits_;
  Notify read_done_;
  MemoryLogSegments own_segments_;
  LogSpool spool_;
  std::map<std::string, Stream> streams_;
  std::string read_last_;  // the next round begins after it
  TimePoint progress_{};   // when something was said first, or acknowledged last
};

}  // namespace mesclun::agent
