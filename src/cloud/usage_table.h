// What instances use, as nodes and gateways say it now and then: for people to see, never stored.
#pragma once

#include <map>

#include "base/clock.h"
#include "link/messages.h"

namespace mesclun::cloud {

// Runs on: the cloud's loop.
// Bounds:  one list of each node and gateway, as large as a session takes it (link/parts.h); one that
//          is older than kFresh counts for nothing.
class UsageTable {
 public:
  static constexpr Duration kFresh = std::chrono::seconds(70);  // two of the longest periods

  // In place of what was said before. `node_id`, and `gateway` by its name, as the session says.
  void take_node(const std::string& node_id, const link::Usage& usage, TimePoint now);
  void take_gateway(const std::string& gateway, const link::Usage& usage, TimePoint now);

  // What a node read of its machine last, if that is fresh; null: nothing. Lists and texts of no more
  // than people would read.
  const link::MachineReading* machine(const std::string& node_id, TimePoint now) const;
  // Processor and memory of a run on this node, requests of all gateways together; no requests at
  // all if no gateway has said anything lately.
  link::InstanceUsage find(const std::string& node_id, const std::string& instance_id,
                           TimePoint now) const;

 private:
  struct Said {
    TimePoint time;
    std::map<std::string, link::InstanceUsage> instances;
    link::MachineReading machine;
  };
  using Sources = std::map<std::string, Said>;
  static void take(Sources& sources, const std::string& name, const link::Usage& usage,
                   TimePoint now);
  static bool is_fresh(const Said& said, TimePoint now) { return now < said.time + kFresh; }

  Sources nodes_;
  Sources gateways_;
};

}  // namespace mesclun::cloud
