// What a server wants to be shown: WWW-Authenticate (RFC 9110 §11.6.1). Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mesclun::registry {

struct Challenge {
  std::string scheme;                                        // in lower case: "bearer", "basic"
  std::vector<std::pair<std::string, std::string>> details;  // names in lower case

  // Empty: it is not said.
  std::string_view detail(std::string_view name) const;
};

// Of one header field, which may have several. What is not understood ends the reading; what came
// before it counts. Bounds: 8 KiB, 8 challenges, 16 details of each.
std::vector<Challenge> parse_challenges(std::string_view field);

}  // namespace mesclun::registry
