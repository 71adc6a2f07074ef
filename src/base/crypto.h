// Hashes and encodings, all by OpenSSL.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace mesclun {

std::string sha256_hex(std::string_view text);
// Raw 32 bytes.
std::string hmac_sha256(std::string_view key, std::string_view text);
std::string to_hex(std::string_view bytes);
// Without padding, the JOSE form.
std::string base64url(std::string_view bytes);
std::string base64(std::string_view bytes);
// InvalidArgument: that is none, with its padding and nothing else.
Result<std::string> from_base64(std::string_view text);
// Takes the same time wherever the two differ.
bool equal_secret(std::string_view a, std::string_view b);
// `bytes` random bytes in hexadecimal.
std::string new_secret(Random& random, size_t bytes = 32);

}  // namespace mesclun
