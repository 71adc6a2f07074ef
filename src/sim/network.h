// The way to the cloud, for nodes and gateways: latency, lost packets, resets, partitions.
#pragma once

#include <functional>
#include <vector>

#include "link/dialer.h"
#include "sim/faults.h"

namespace mesclun::sim {

// Peers are numbered: nodes, then gateways.
//
// Runs on: the simulation's loop.
class Network {
 public:
  using Accept = std::function<void(link::SessionPtr)>;
  enum class Door { Agents, Gateways };

  Network(const asio::any_io_executor& executor, Clock& clock, Random& random, const Faults& faults,
          size_t peers)
      : executor_(executor), clock_(clock), random_(random), faults_(faults), cut_until_(peers) {}

  // Gets the cloud's end of every session that a node makes, and gives one in its place.
  using Listen = std::function<link::SessionPtr(size_t node, link::SessionPtr)>;
  void set_listen(Listen listen) { listen_ = std::move(listen); }

  // The cloud's side; none while it is down.
  void set_cloud(Accept agents, Accept gateways) {
    agents_ = std::move(agents);
    gateways_ = std::move(gateways);
  }
  // Without its machine nobody even refuses.
  void set_cloud_power(bool on) { cloud_powered_ = on; }
  // Nothing gets through to or from the peer until then. What is on its way arrives afterwards, as
  // TCP would have it, unless somebody gave up before.
  void cut(size_t peer, TimePoint until) { cut_until_[peer] = until; }
  bool is_cut(size_t peer) const { return clock_.now() < cut_until_[peer]; }

  Task<Result<link::SessionPtr>> dial(size_t peer, Door door);

 private:
  std::optional<Duration> fate(size_t peer);
  std::pair<link::SessionPtr, link::SessionPtr> connect(size_t peer);

  asio::any_io_executor executor_;
  Clock& clock_;
  Random& random_;
  const Faults& faults_;
  Accept agents_;
  Accept gateways_;
  Listen listen_;
  bool cloud_powered_ = true;
  std::vector<TimePoint> cut_until_;
};

}  // namespace mesclun::sim
