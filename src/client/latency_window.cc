#include "client/latency_window.h"

#include <algorithm>
#include <cmath>

namespace mesclun::client {

void LatencyWindow::record(Duration latency) {
  if (ring_.size() < kSamples) {
    ring_.push_back(latency);
  } else {
    ring_[next_] = latency;
    next_ = (next_ + 1) % kSamples;
  }
  // The first ones count at once: everybody waits for a first idea of the server.
  if (++unsorted_ < kSortEvery && ring_.size() > 2 * kSortEvery) return;
  unsorted_ = 0;
  sorted_ = ring_;
  std::ranges::sort(sorted_);
}

Duration LatencyWindow::quantile(double q) const {
  if (sorted_.empty()) return Duration(0);
  const double rank = std::ceil(q * static_cast<double>(sorted_.size()));
  const auto at = static_cast<size_t>(std::max(rank, 1.0)) - 1;
  return sorted_[std::min(at, sorted_.size() - 1)];
}

}  // namespace mesclun::client
