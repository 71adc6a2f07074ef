// What machines say, and what follows from it.
#pragma once

#include "cloud/fleet.h"

namespace mesclun::cloud {

// A new session of a known or new node; an older session of it is void from now on.
// PermissionDenied: the id is another machine's, or the machine is banned.
Result<> node_joined(Fleet& fleet, const link::Hello& hello, int64_t session, Moment now);

// What a machine hears that the operator put out (fleet_admission.h).
Error banned_error();
Error forgotten_error();

// What an older session says is not heard by these. A node is heard once it has reported in its
// session: one that only connects does not serve.
void node_heard(Fleet& fleet, const std::string& node_id, int64_t session, Moment now);
// What it says of allocations and groups that are not placed on it is not taken, only counted, in
// Node::Live::refused.
void node_reported(Fleet& fleet, const std::string& node_id, int64_t session,
                   const link::Report& report, Moment now);
void node_left(Fleet& fleet, const std::string& node_id, int64_t session, Moment now);
// Whether the node may say something about the group; counted if not.
bool may_speak_of(Fleet& fleet, const std::string& node_id, const std::string& group_id);

}  // namespace mesclun::cloud
