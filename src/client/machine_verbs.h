// What operators do with machines: nodes, gateways, and the tokens that let them in.
#pragma once

#include "client/command.h"

namespace mesclun::client {

Task<Result<>> list_nodes(Session& session);
// `node` is a machine id, a beginning of one, or a host name that only one node has.
Task<Result<>> get_node(Session& session, std::string node);
Task<Result<>> forget_node(Session& session, std::string node);
Task<Result<>> ban_node(Session& session, std::string node);
Task<Result<>> unban_node(Session& session, std::string node);

struct DrainOptions {
  std::string node;  // as above
  bool undo = false;
  bool wait = false;
  Duration timeout = 15min;
};
// DeadlineExceeded: something runs there still after `timeout`.
Task<Result<>> drain_node(Session& session, DrainOptions options);

Task<Result<>> list_gateways(Session& session);
Task<Result<>> forget_gateway(Session& session, std::string name);

// `name` is join or gateway.
Task<Result<>> rotate_token(Session& session, std::string name);

// What runs on a machine, for one cell: "echo x2, web (starting)".
std::string describe_node_load(const NodeView& node);

// Its state, its owner's mode and the operator's drain: "online, drained, 2 still there".
std::string describe_node_state(const NodeView& node);

// All that is known of it, a line each; what is not known says so.
std::string describe_node(const NodeView& node, WallTime now);

// What machines lack, each sentence once: "pc1: no cgroups", "3 nodes: ...", "all 9 nodes: ...".
std::vector<std::string> node_warnings(const std::vector<NodeView>& nodes);

// The id of the one node that is meant. Wrong usage if it is none, or several.
Result<std::string> choose_node(const std::vector<NodeView>& nodes, std::string_view wanted);

}  // namespace mesclun::client
