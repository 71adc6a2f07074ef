// The platform's metadata service, as the companion needs it: asking for another node.
#pragma once

#include <string>

#include "base/clock.h"
#include "companion/config.h"

namespace mesclun::companion {

// Runs on: one loop. Clock outlives it.
// Never uses a proxy: the service answers only calls that come straight from this instance.
class MetadataClient {
 public:
  MetadataClient(Clock& clock, MetadataConfig config) : clock_(clock), config_(std::move(config)) {}

  // Asks for another node; success means that the platform will end this one within seconds.
  // `reason` is for the operator of the group; cut to 1,000 characters.
  //
  // Tries three times, `timeout` each, when another try may help. Errors say what to do:
  //   PermissionDenied    403: something between us and the service changed the call
  //   NotFound            404: the platform knows this instance no more; it ends anyway
  //   InvalidArgument     400, or the URI is wrong
  //   DeadlineExceeded    no answer; Unavailable: no connection, or 5xx
  Task<Result<>> reallocate(std::string reason);

 private:
  Task<Result<>> try_once(std::string path, std::string body);

  Clock& clock_;
  MetadataConfig config_;
};

// At most `characters_max` characters of valid UTF-8: bytes that are none become '?', control
// characters blanks. Empty text becomes "no reason given".
std::string clean_reason(std::string_view text, size_t characters_max = 1000);

}  // namespace mesclun::companion
