// Many requests through a TrafficClient: as many at once as the server takes (closed loop), or so
// many a second whatever it takes (open loop).
#pragma once

#include <functional>

#include "base/scope.h"
#include "client/traffic_client.h"

namespace mesclun::client {

struct LoadPlan {
  HttpCall call;                    // without the body
  std::vector<std::string> bodies;  // requests cycle through them; empty: no body
  uint64_t requests = 0;            // 0: no bound, then `duration` is one
  Duration duration{0};             // 0: no bound
  double rate = 0;                  // requests a second; 0: closed loop
  size_t workers = 64;              // of a closed loop: the largest concurrency
  Duration timeout = 30s;           // of each request
};

struct LoadOutcome {
  uint64_t index = 0;
  TrafficAnswer answer;
};

// Runs on:  one loop.
// Promise:  each request that was begun is reported once, when it ends. Requests that stop() or the
//           end of the duration found waiting for their first attempt in a closed loop were not
//           begun.
// Lifetime: clock and client outlive this object.
class LoadRunner {
 public:
  using OnOutcome = std::function<void(LoadOutcome)>;

  LoadRunner(const asio::any_io_executor& executor, Clock& clock, TrafficClient& client,
             LoadPlan plan, OnOutcome on_outcome);

  // Until everything is answered. Cancelled: gives up.
  Task<Result<>> run();
  // Sends nothing more; run() ends when what is under way does.
  void stop();
  // Breaks off what is under way; reported as "given_up".
  void give_up() { requests_.cancel(); }

  uint64_t begun() const { return next_; }
  TimePoint started() const { return started_; }

 private:
  bool all_begun() const { return plan_.requests > 0 && next_ >= plan_.requests; }
  TrafficRequest make_request(uint64_t index) const;
  void spawn(Task<Result<>> task);
  Task<Result<>> counted(Task<Result<>> task);
  Task<Result<>> work();
  Task<Result<>> one(uint64_t index);
  Task<Result<>> offer();
  void report(uint64_t index, Result<TrafficAnswer> answer);

  Clock& clock_;
  TrafficClient& client_;
  const LoadPlan plan_;
  OnOutcome on_outcome_;
  Scope requests_;
  Notify stopped_changed_;
  Notify ended_;  // a task
  TimePoint started_;
  TimePoint end_ = TimePoint::max();
  uint64_t next_ = 0;
  size_t running_ = 0;  // tasks
  bool stopped_ = false;
};

}  // namespace mesclun::client
