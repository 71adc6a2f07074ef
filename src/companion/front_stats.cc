#include "companion/front_stats.h"

namespace mesclun::companion {

void Histogram::observe(Duration value) {
  const double seconds = to_seconds(value);
  for (size_t i = kBounds.size(); i > 0 && seconds <= kBounds[i - 1]; --i) ++counts_[i - 1];
  ++count_;
  sum_ += seconds;
}

}  // namespace mesclun::companion
