// Events with their reasons and the output of containers: what the public contract has no place
// for, beside it under /api/mesclun.
#pragma once

#include "cloud/api_target.h"
#include "cloud/fleet_loop.h"
#include "cloud/group_followers.h"
#include "cloud/log_table.h"

namespace mesclun::cloud {

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class ActivityEndpoint {
 public:
  ActivityEndpoint(const asio::any_io_executor& executor, Clock& clock, store::Database& database,
                   FleetLoop& loop, LogTable& logs)
      : clock_(clock), database_(database), loop_(loop), logs_(logs), events_added_(executor) {}

  // `target.rest` is containers/NAME/events or .../logs. With `wait` an answer is held back until
  // there is something to say. Of logs `query` leaves the lines that match, and `looked_to` is the
  // `after` to go on with: lines that do not match have sequences too.
  Answer handle(HttpRequest request, ApiTarget target);
  // New events of these groups are stored.
  void events_added(const std::set<std::string>& group_ids);

 private:
  Answer events(HttpRequest request, std::string group_id);
  Answer logs(HttpRequest request, std::string group_id, LogOwner owner);

  // Constant after construction.
  Clock& clock_;
  store::Database& database_;
  FleetLoop& loop_;
  LogTable& logs_;
  // The loop only.
  GroupFollowers events_added_;
};

}  // namespace mesclun::cloud
