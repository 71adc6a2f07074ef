// One container group as the gateway serves it: its route, its instances, the requests in flight at
// each, and those that wait for a free one.
#pragma once

#include <deque>

#include "base/notify.h"
#include "gateway/balancer.h"
#include "gateway/group_stats.h"
#include "gateway/instance_standing.h"
#include "gateway/node.h"
#include "http/pool.h"
#include "link/messages.h"

namespace mesclun::gateway {

class Group;
using GroupPtr = std::shared_ptr<Group>;

struct Instance {
  std::string id;
  NodePtr node;
  bool ready = false;
  int32_t port = 0;
  uint32_t in_flight = 0;
  uint64_t requests = 0;                     // that it was chosen for, since the gateway knows it
  IdlePool<link::TunnelStream> pool;         // its streams that wait for the next request
  std::optional<InstanceStanding> standing;  // of an adaptive group
};
using InstancePtr = std::shared_ptr<Instance>;

// One request in flight at an instance. Counts while it lives: however a request ends, its count
// ends with it.
class InFlight {
 public:
  InFlight(GroupPtr group, InstancePtr instance);
  ~InFlight();
  InFlight(InFlight&&) noexcept = default;
  InFlight& operator=(InFlight&&) = delete;

  Instance& instance() const { return *instance_; }
  // How it ended there; unknown, if nobody says.
  void set_outcome(const Outcome& outcome) { outcome_ = outcome; }

 private:
  GroupPtr group_;  // null once moved from
  InstancePtr instance_;
  std::optional<ServiceModel::Stay> stay_;  // if the instance had a standing when it began
  Outcome outcome_;
};

// A request that waits for a free instance. Lives in the task that waits.
class Waiter {
 public:
  // `tried`: ids of instances that it will not get; outlives it.
  Waiter(const asio::any_io_executor& executor, GroupPtr group,
         const std::vector<std::string>& tried)
      : changed(executor), group_(std::move(group)), tried_(tried) {}
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  Notify changed;
  std::optional<InFlight> granted;

 private:
  friend class Group;
  GroupPtr group_;
  const std::vector<std::string>& tried_;
  bool queued_ = false;
};

// Runs on: the gateway's loop. Always held by a shared_ptr: requests keep it over route updates.
class Group : public std::enable_shared_from_this<Group> {
 public:
  static constexpr size_t kWaitingMax = 1000;
  using FindNode = std::function<NodePtr(const std::string& machine_id)>;

  // `clock` outlives it.
  explicit Group(const Clock& clock, const RetryRule& retry = {})
      : retry_budget(retry), clock_(clock) {}

  // Takes over the route; instances keep their counts and streams by id.
  void update(link::Route route, const FindNode& find_node);
  const link::Route& route() const { return route_; }
  const std::vector<InstancePtr>& instances() const { return instances_; }

  // Chooses and counts. `tried` are ids that this request has met already.
  struct Admission {
    BalanceResult::Verdict verdict;
    std::optional<InFlight> slot;
  };
  Admission admit(const std::vector<std::string>& tried = {});
  // First come, first served, behind those that wait already. False at kWaitingMax.
  bool wait(Waiter& waiter);
  // Hands free instances to waiters; called when one may have become free. One that has tried all of
  // these lets the next go first.
  void serve_waiting();

  size_t waiting() const { return waiting_.size(); }
  // Those at instances that left the route too.
  uint32_t in_flight() const { return in_flight_; }
  void drop_stale_streams(const PoolLimits& limits, TimePoint now);

  GroupStats stats;
  RetryBudget retry_budget;

 private:
  friend class InFlight;
  friend class Waiter;
  BalanceRule rule() const { return {route_.least_connections, route_.single_connection_limit}; }
  // `waiting`: as choose_adaptive() has it.
  BalanceResult choose_instance(const std::vector<std::string>& tried, size_t waiting) const;
  BalanceResult choose_by_standing(const std::vector<std::string>& tried, size_t waiting) const;
  // Before the instance is told whether it is ready.
  void update_standing(Instance& instance, bool ready, bool adaptive) const;
  // A failure may have been one too many.
  void judge(Instance& failed);

  const Clock& clock_;
  link::Route route_;
  std::vector<InstancePtr> instances_;
  size_t next_ = 0;  // where the circle of round robin goes on
  std::deque<Waiter*> waiting_;
  uint32_t in_flight_ = 0;
  mutable std::vector<AdaptiveCandidate> candidates_;  // of one choice, kept for its memory
};

}  // namespace mesclun::gateway
