// Text from outside (an application's output, a driver's message) on its way into our messages.
#pragma once

#include <string>
#include <string_view>

namespace mesclun::agent {

// At most `bytes_max` bytes, cut at a character; what is not UTF-8 becomes U+FFFD. JSON carries
// nothing else, and one bad byte in a log line must not break the session.
std::string clean_text(std::string_view text, size_t bytes_max);

}  // namespace mesclun::agent
