#include "base/random.h"

#include <algorithm>
#include <cstring>

namespace mesclun {

void Random::fill(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const uint64_t word = next();
    const size_t n = std::min(bytes.size(), sizeof word);
    std::memcpy(bytes.data(), &word, n);
    bytes = bytes.subspan(n);
  }
}

}  // namespace mesclun
