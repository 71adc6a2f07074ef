// Identity tokens of workloads: ES256 JWTs and the public keys that verify them (imds.md §4).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "cloud/fleet_state.h"
#include "store/database.h"

namespace mesclun::cloud {

struct WorkloadKey {
  std::string kid;  // "salad-workload-<UTC time>Z"
  WallTime created;
  std::string private_pem;
};

// Two pairs, a week apart, each living two weeks; the older one signs, so that verifiers have a
// week to learn the younger. `keys` sorted by creation; the result is what should exist at `now`,
// new pairs made where one is missing.
inline constexpr Duration kWorkloadKeyRotation = std::chrono::hours(24 * 7);
Result<std::vector<WorkloadKey>> rotate_keys(std::vector<WorkloadKey> keys, WallTime now);

// {"keys": [...]}
Result<json::object> key_set(const std::vector<WorkloadKey>& keys);

struct TokenClaims {
  std::string issuer;
  std::string machine_id;
  std::string group_id;
  std::string group_name;
  std::string organization_id;
  std::string organization_name;
  std::string token_id;
};
inline constexpr int64_t kTokenSeconds = 300;
Result<std::string> sign_token(const WorkloadKey& key, const TokenClaims& claims, WallTime now);

// The keys in the store. Runs on: the cloud's loop.
class WorkloadTokens {
 public:
  WorkloadTokens(Clock& clock, Random& random, store::Database& database, std::string issuer)
      : clock_(clock), random_(random), database_(database), issuer_(std::move(issuer)) {}

  Task<Result<>> load();
  // Rotates when it is time; until cancelled.
  Task<Result<>> run();
  Result<link::TokenReply> issue(const Group& group, const std::string& machine_id);
  Result<json::object> public_keys() const { return key_set(keys_); }

 private:
  Task<Result<>> rotate();

  Clock& clock_;
  Random& random_;
  store::Database& database_;
  std::string issuer_;
  std::vector<WorkloadKey> keys_;
};

}  // namespace mesclun::cloud
