// Any bytes as YAML.
#include "base/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::ignore = mesclun::parse_yaml({reinterpret_cast<const char*>(data), size});
  return 0;
}
