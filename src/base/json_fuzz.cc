// Any bytes as JSON; what parses is written as something that parses again. (To the same value but
// for the last digit of a fraction: Boost.JSON does not round exactly.)
#include <cstdlib>

#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mesclun;
  const auto value = parse_json({reinterpret_cast<const char*>(data), size});
  if (!value) return 0;
  const std::string text = boost::json::serialize(*value);
  const auto again = parse_json(text);
  if (!again || again->kind() != value->kind()) std::abort();
  return 0;
}
