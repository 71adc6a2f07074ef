// Times as HTTP writes them (RFC 9110 §5.6.7).
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"

namespace mesclun {

// "Sun, 06 Nov 1994 08:49:37 GMT", and the two forms of old that recipients must take:
// "Sunday, 06-Nov-94 08:49:37 GMT" and "Sun Nov  6 08:49:37 1994".
std::optional<WallTime> parse_http_date(std::string_view text);

}  // namespace mesclun
