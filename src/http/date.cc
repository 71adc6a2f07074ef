#include "http/date.h"

#include <ctime>
#include <string>

namespace mesclun {

std::optional<WallTime> parse_http_date(std::string_view text) {
  const std::string copy(text);
  for (const char* form :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm parts{};
    const char* const end = ::strptime(copy.c_str(), form, &parts);
    if (end == nullptr || *end != '\0') continue;
    return WallTime(std::chrono::seconds(::timegm(&parts)));
  }
  return std::nullopt;
}

}  // namespace mesclun
