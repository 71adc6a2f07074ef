// The lines of one run, followed as the engine writes them.
#pragma once

#include <deque>

#include "base/notify.h"
#include "runtime/docker/engine.h"
#include "runtime/driver.h"

namespace mesclun::runtime {

// How far the lines were handed out: all before `time`, and so many of that time.
struct LogPosition {
  int64_t time = 0;  // unix ns
  int64_t lines = 0;
  bool operator==(const LogPosition&) const = default;
};
BOOST_DESCRIBE_STRUCT(LogPosition, (), (time, lines))

// Runs on:  one loop.
// Promise:  each line once, in order; what a killed agent may not have passed on is handed out again
//           (the position is stored one call late).
// Bounds:   kLinesMax lines are held; then reading stops, and the engine keeps what follows, up to
//           the size of its files.
class DockerLog {
 public:
  static constexpr size_t kLinesMax = 2000;

  // `path`: where the position is kept. A run without one begins at `since`, unix ns: a container
  // that is started again still has the lines of before.
  DockerLog(const asio::any_io_executor& executor, std::string path, int64_t since);

  // Follows the container until it has ended and all was read; goes on after the engine was away.
  // `until`, unix ns: what was said from then on belongs to a later run in the same container.
  Task<Result<>> follow(Engine& engine, Clock& clock, std::string container,
                        std::optional<int64_t> until = {});
  // Nobody reads any more; follow() ends soon.
  void stop();
  // Without waiting, unless the run has ended: then until that many lines are there, or all.
  Task<Result<std::vector<LogChunk>>> read(size_t lines_max, bool ended, Clock& clock);

 private:
  // Until the engine's end of it, or an error.
  Task<Result<>> follow_once(Engine& engine, std::string container, std::optional<int64_t> until);
  void take(std::deque<LogChunk>& fresh);

  std::string path_;
  Notify changed_;
  std::deque<LogChunk> lines_;
  LogPosition received_;  // of all that is or was in lines_
  LogPosition handed_out_;
  LogPosition stored_;
  int64_t skip_ = 0;  // lines of the time at which the stream was opened that are known
  bool complete_ = false;
  bool stopped_ = false;
};

}  // namespace mesclun::runtime
