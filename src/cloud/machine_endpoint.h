// Machines of the cloud as the operator sees them, under /api/operator: nodes, gateways, and the
// tokens that let them in.
#pragma once

#include <functional>

#include "cloud/api_target.h"
#include "cloud/node_hub.h"
#include "cloud/route_hub.h"

namespace mesclun::cloud {

// Writes a secret where the next start of the cloud reads it; `file` is its name, "join.token".
using KeepSecret = std::function<Result<>(std::string_view file, const std::string& secret)>;

// Runs on:  the cloud's loop.
// Lifetime: all that the constructor gets outlives it.
class MachineEndpoint {
 public:
  struct Parts {
    Random& random;
    FleetLoop& loop;
    NodeHub& nodes;
    RouteHub& gateways;
    const UsageTable& usage;
    Clock& clock;
    KeepSecret keep_secret;
  };
  explicit MachineEndpoint(Parts parts) : parts_(std::move(parts)) {}

  // GET nodes, DELETE nodes/ID, POST nodes/ID/ACTION: ban, unban, drain, undrain
  Answer handle_nodes(HttpRequest request, std::vector<std::string> path);
  // GET gateways, DELETE gateways/NAME
  Answer handle_gateways(HttpRequest request, std::vector<std::string> path);
  // POST tokens/join/rotate, POST tokens/gateway/rotate: the answer has the new one
  Answer handle_tokens(HttpRequest request, std::vector<std::string> path);

 private:
  Answer list_nodes();
  Answer act_on_node(std::string node_id, std::string action);
  Answer put_out(std::string node_id, bool ban);

  const Parts parts_;
};

}  // namespace mesclun::cloud
