// The way between nodes and the cloud: latency, lost packets, resets, partitions.
#pragma once

#include <functional>
#include <vector>

#include "link/dialer.h"
#include "sim/faults.h"

namespace mesclun::sim {

// Runs on: the simulation's loop.
class Network {
 public:
  using Accept = std::function<void(link::SessionPtr)>;

  Network(const asio::any_io_executor& executor, Clock& clock, Random& random, const Faults& faults,
          size_t nodes)
      : executor_(executor), clock_(clock), random_(random), faults_(faults), cut_until_(nodes) {}

  // The cloud's side; none while it is down.
  void set_cloud(Accept accept) { accept_ = std::move(accept); }
  // Without its machine nobody even refuses.
  void set_cloud_power(bool on) { cloud_powered_ = on; }
  // Nothing gets through to or from the node until then. What is on its way arrives afterwards, as
  // TCP would have it, unless somebody gave up before.
  void cut(size_t node, TimePoint until) { cut_until_[node] = until; }
  bool is_cut(size_t node) const { return clock_.now() < cut_until_[node]; }

  Task<Result<link::SessionPtr>> dial(size_t node);

 private:
  std::optional<Duration> fate(size_t node);

  asio::any_io_executor executor_;
  Clock& clock_;
  Random& random_;
  const Faults& faults_;
  Accept accept_;
  bool cloud_powered_ = true;
  std::vector<TimePoint> cut_until_;
};

}  // namespace mesclun::sim
