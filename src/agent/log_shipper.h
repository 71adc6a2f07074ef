// Carries the output of runs to the cloud: best effort, bounded, never in the application's way.
#pragma once

#include <deque>
#include <map>

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
  size_t pending_bytes_max =
      8 * 1024 * 1024;  // of all runs; beyond, a run that writes loses its oldest
  // A session ends when 256 messages wait. Four a round are 20 a second, so the connection may
  // stall for 10 s.
  size_t batches_per_round = 4;
};

// Runs on: the agent's loop. Without a session nothing is read: the driver keeps the lines as long
// as it can.
class LogShipper {
 public:
  LogShipper(const asio::any_io_executor& executor, runtime::ContainerDriver& driver, Clock& clock,
             LogLimits limits);

  void add(LogSource source);
  // The run ended: takes what is left before the driver forgets it.
  Task<Result<>> finish(std::string instance_id);
  // Ships until the session ends or the caller is cancelled.
  Task<Result<>> ship(link::Session& session);

  size_t pending_bytes() const { return pending_bytes_; }

 private:
  struct Stream {
    LogSource source;
    std::deque<link::LogLine> lines;
    int64_t dropped = 0;
    bool reading = false;
    bool finished = false;
  };

  Task<Result<size_t>> read(std::string instance_id);
  void keep(Stream& stream, std::vector<runtime::LogChunk> chunks);
  Result<> send_round(link::Session& session);
  link::LogBatch take_batch(Stream& stream);

  runtime::ContainerDriver& driver_;
  Clock& clock_;
  const LogLimits limits_;
  Notify read_done_;
  std::map<std::string, Stream> streams_;
  std::string sent_last_;  // the next round begins after it
  size_t pending_bytes_ = 0;
};

}  // namespace mesclun::agent
