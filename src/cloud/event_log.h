// Brings system events into the log, so that one question finds them beside the lines of containers.
#pragma once

#include "cloud/fleet.h"
#include "cloud/log_table.h"

namespace mesclun::cloud {

// Events are stored with the fleet and copied from there, each once: the log keeps, in the same
// commit, how far it has come. Those of a group that is forgotten before are left out.
//
// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class EventLog {
 public:
  EventLog(const asio::any_io_executor& executor, Clock& clock, const Fleet& fleet,
           store::Database& fleet_database, LogTable& logs)
      : clock_(clock),
        fleet_(fleet),
        fleet_database_(fleet_database),
        logs_(logs),
        added_(executor) {}

  // Until cancelled.
  Task<Result<>> run();
  // New events are stored.
  void events_added() {
    news_ = true;
    added_.notify_all();
  }

 private:
  Task<Result<>> copy(int64_t& cursor);

  // Constant after construction.
  Clock& clock_;
  const Fleet& fleet_;
  store::Database& fleet_database_;
  LogTable& logs_;
  // The loop only.
  Notify added_;
  bool news_ = true;  // since the start, what was not copied before the end
};

}  // namespace mesclun::cloud
