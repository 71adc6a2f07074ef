// Signing of requests to S3-compatible storage and other services of AWS: Signature Version 4, in
// headers.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/client.h"

namespace mesclun {

struct SigningKey {
  std::string access_key_id;
  std::string secret_access_key;
  std::string region = "auto";  // whatever the storage expects; many take "auto" or "us-east-1"
  std::string service = "s3";
};

// In place of a body's hash, for a body that is not known when the request is signed.
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

// Adds Host, X-Amz-Date, X-Amz-Content-Sha256 and Authorization. The target must be as it will be
// sent, its path encoded by percent_encode(); the headers are covered too, so only hop-by-hop ones and
// Content-Length may change afterwards. `payload_sha256`: sha256_hex() of the body, or
// kUnsignedPayload. Storage refuses a time that is more than 15 minutes off its own.
void sign_v4(HttpCall& call, std::string_view host, const SigningKey& key, WallTime now,
             std::string_view payload_sha256);

}  // namespace mesclun
