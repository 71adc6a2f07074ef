// A node as the gateway sees it: the tunnels that it has dialled.
#pragma once

#include <memory>
#include <vector>

#include "link/tunnel.h"

namespace mesclun::gateway {

struct Node {
  std::string id;
  std::vector<std::shared_ptr<link::Tunnel>> tunnels;  // oldest first; one that broke leaves soon

  // The newest that is not suspect, else the newest; null if none is up.
  std::shared_ptr<link::Tunnel> tunnel() const {
    std::shared_ptr<link::Tunnel> best;
    for (auto it = tunnels.rbegin(); it != tunnels.rend(); ++it) {
      if (!(*it)->up()) continue;
      if (!(*it)->suspect()) return *it;
      if (!best) best = *it;
    }
    return best;
  }
  bool up() const {
    for (const auto& one : tunnels) {
      if (one->up()) return true;
    }
    return false;
  }
  bool suspect() const {
    for (const auto& one : tunnels) {
      if (one->up() && !one->suspect()) return false;
    }
    return true;
  }
};
using NodePtr = std::shared_ptr<Node>;

}  // namespace mesclun::gateway
