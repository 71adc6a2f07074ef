// The cloud's folder: one process at a time, its databases, and the secrets made at its first
// start.
#pragma once

#include <memory>

#include "base/file.h"
#include "base/random.h"
#include "store/database.h"

namespace mesclun::cloud {

// What a cloud shares with its agents, gateways and operator; each in a file of mode 0600.
struct Secrets {
  std::string join_token;     // join.token: agents
  std::string gateway_token;  // gateway.token: gateways
  std::string tunnel_secret;  // tunnel.secret: signs tunnel tickets
  std::string operator_key;   // operator.key: the operator API
};

Result<Secrets> load_or_make_secrets(const std::string& folder, Random& random);

// A file of mode 0600, also after a power loss.
Result<> keep_secret(const std::string& path, const std::string& secret);

}  // namespace mesclun::cloud
