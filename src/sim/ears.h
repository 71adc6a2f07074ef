// What the cloud was told by its nodes, and what it told them, as the network saw it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "link/session.h"
#include "sim/event_audit.h"

namespace mesclun::sim {

// Runs on: the simulation's loop.
class Ears {
 public:
  // Whether a replica of the group is placed on the node, as the cloud has it.
  using IsPlaced = std::function<bool(const std::string& node_id, const std::string& group_id)>;

  Ears(Clock& clock, size_t nodes, IsPlaced is_placed)
      : clock_(clock), is_placed_(std::move(is_placed)), nodes_(nodes) {}

  // The cloud's end of a new session of the node, listened to.
  link::SessionPtr listen(size_t node, link::SessionPtr session);

  // When the cloud last heard a node that had reported in its newest session; by machine id.
  TimePoint last_heard(const std::string& machine_id) const;
  // Allocations that a node said have succeeded, since the last call.
  std::set<std::string> take_succeeded() { return std::exchange(succeeded_, {}); }
  const EventAudit& events() const { return events_; }

 private:
  class Listening;
  struct Node {
    std::string machine_id;
    uint64_t session = 0;  // the newest
    bool reported = false;
  };
  void heard(size_t node, uint64_t session, const link::Message& message);
  void said(size_t node, const link::Message& message);

  Clock& clock_;
  const IsPlaced is_placed_;
  std::vector<Node> nodes_;
  uint64_t last_session_ = 0;
  std::map<std::string, TimePoint> last_heard_;
  std::set<std::string> succeeded_;
  EventAudit events_;
};

}  // namespace mesclun::sim
