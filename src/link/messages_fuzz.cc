#include "link/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mesclun::link;
  const auto message = decode(std::string_view(reinterpret_cast<const char*>(data), size));
  if (message && !decode(encode(*message))) __builtin_trap();
  return 0;
}
