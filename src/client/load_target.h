// Whom `mesclun load` calls when it is given a group instead of an address.
#pragma once

#include "client/command.h"

namespace mesclun::client {

// "greeter" or "greeter/predict?x=1": a group of ours, and a path there. Addresses have a scheme, a
// dot or a port; "localhost" is this machine.
bool names_group(std::string_view target);

struct LoadTarget {
  std::string url;  // the gateway's, with the path
  std::string host;
  std::string api_key;  // empty: the group asks for none
};
// FailedPrecondition: the group has no networking.
Task<Result<LoadTarget>> find_target(Session& session, std::string target);

}  // namespace mesclun::client
