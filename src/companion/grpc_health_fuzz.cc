// What a gRPC health client sends.
#include <cstdint>

#include "companion/grpc_health.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto service = mesclun::companion::parse_health_request(text);
  if (service && service->size() > size) __builtin_trap();
  return 0;
}
