// The kernel's randomness, good enough for keys. The only place that reads it
// (tools/check_sources.py proves it).
#pragma once

#include "base/random.h"

namespace mesclun {

// Not thread safe: one a thread.
class RealRandom final : public Random {
 public:
  uint64_t next() override;

 private:
  std::array<uint64_t, 32> pool_{};
  size_t used_ = pool_.size();
};

}  // namespace mesclun
