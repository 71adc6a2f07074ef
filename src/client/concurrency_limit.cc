#include "client/concurrency_limit.h"

#include <algorithm>

namespace mesclun::client {

ConcurrencyLimit::ConcurrencyLimit(double start, double max)
    : max_(std::max(max, 1.0)), limit_(std::clamp(start, 1.0, max_)), peak_(limit_) {}

void ConcurrencyLimit::succeeded(bool busy) {
  // One round trip brings `limit_` answers, so that many parts make one.
  if (busy) limit_ = std::min(max_, limit_ + 1.0 / limit_);
  peak_ = std::max(peak_, limit_);
}

bool ConcurrencyLimit::refused(TimePoint sent_at, TimePoint now, Duration typical_latency) {
  while (!releases_.empty() && releases_.front() <= now) releases_.pop_front();
  const TimePoint release = now + typical_latency;
  releases_.push_back(releases_.empty() ? release : std::max(release, releases_.back()));
  if (sent_at < last_cut_ || now < next_cut_) return false;
  const bool was_one = value() == 1;
  limit_ = std::max(1.0, limit_ * kDecrease);
  last_cut_ = now;
  next_cut_ = now + typical_latency;
  return was_one;
}

size_t ConcurrencyLimit::held(TimePoint now) const {
  return static_cast<size_t>(releases_.end() - std::ranges::upper_bound(releases_, now));
}

TimePoint ConcurrencyLimit::next_release(TimePoint now) const {
  const auto next = std::ranges::upper_bound(releases_, now);
  return next == releases_.end() ? TimePoint::max() : *next;
}

}  // namespace mesclun::client
