#include "gateway/service_model.h"

#include <algorithm>
#include <cmath>

namespace mesclun::gateway {

namespace {

// What was learned loses half of its weight over so many requests: enough to tell a width, and few
// enough to forget one that has changed.
constexpr double kHalfLife = 2000;
constexpr uint32_t kFadeEvery = 32;
constexpr uint32_t kFitEvery = 8;
constexpr uint32_t kProbeEvery = 24;
// A machine that slows down is noticed over so many.
constexpr double kRecentHalfLife = 48;
// The group's mean counts for so many of an instance's own requests.
constexpr double kPriorCount = 4;
// In nats: e^6 is 400 to 1. Less than e^1 again and it is an open question.
constexpr double kBelieved = 6;
constexpr double kBelievedCount = 40;
constexpr double kDoubted = 1;
// Requests that were there with so many others, for that many to count as seen.
constexpr double kSeenCount = 8;

const double kFade = std::exp2(-static_cast<double>(kFadeEvery) / kHalfLife);
const double kRecentKeep = std::exp2(-1 / kRecentHalfLife);

constexpr size_t kHalves = 15;  // 1 to 8
constexpr double kStep = 1.1;

double level_of(size_t index) {
  if (index < kHalves) return 1 + static_cast<double>(index) / 2;
  return 8 * std::pow(kStep, static_cast<double>(index - kHalves + 1));
}

struct Levels {
  Levels() {
    for (size_t i = 0; i < value.size(); ++i) {
      value[i] = level_of(i);
      log[i] = std::log(value[i]);
    }
  }
  std::array<double, ServiceModel::kLevels> value;
  std::array<double, ServiceModel::kLevels> log;
};
const Levels kLevel;

size_t index_of(double level) {
  if (level < 8.25) return static_cast<size_t>(std::lround((std::max(level, 1.0) - 1) * 2));
  const double steps = std::log(level / 8) / std::log(kStep);
  return std::min(kHalves - 1 + static_cast<size_t>(std::lround(steps)), ServiceModel::kLevels - 1);
}

}  // namespace

void ServiceModel::advance(TimePoint now) {
  area_ += present_ * to_seconds(now - last_);
  last_ = now;
}

ServiceModel::Stay ServiceModel::arrive(TimePoint now) {
  advance(now);
  if (bounded_ && present_ >= fitted_width_) since_probe_ = 0;
  ++present_;
  return {now, area_};
}

void ServiceModel::leave(TimePoint now) {
  advance(now);
  if (present_ > 0) --present_;
}

void ServiceModel::learn(const Stay& stay, TimePoint now) {
  advance(now);
  const double seconds = std::max(to_seconds(now - stay.start), 1e-6);
  const double level = std::clamp((area_ - stay.area) / seconds, 1.0, kWidthMax);
  const size_t index = index_of(level);
  counts_[index] += 1;
  seconds_[index] += seconds;
  count_ += 1;
  ++since_probe_;
  if (mean_ > 0) {
    const double expected = mean_ * std::max(1.0, level / fitted_width_);
    const double ratio = seconds / expected;
    ratio_count_ += 1;
    ratio_sum_ += ratio;
    ratio_squares_ += ratio * ratio;
    recent_ratio_ = recent_ratio_ * kRecentKeep + ratio * (1 - kRecentKeep);
    recent_count_ = std::min(recent_count_ + 1, kRecentHalfLife);
  }
  if (++since_fade_ >= kFadeEvery) fade();
  if (++since_fit_ >= kFitEvery || count_ < 2 * kFitEvery) fit();
}

void ServiceModel::fade() {
  since_fade_ = 0;
  count_ = 0;
  for (size_t i = 0; i < kLevels; ++i) {
    counts_[i] *= kFade;
    seconds_[i] *= kFade;
    count_ += counts_[i];
  }
  ratio_count_ *= kFade;
  ratio_sum_ *= kFade;
  ratio_squares_ *= kFade;
}

// With S(c) = Σ seconds_m / max(1, m/c), the best mean for a width c is S/n, and the logarithm of the
// likelihood −n ln(S/n) − Σ counts_m ln max(1, m/c) and what does not depend on c.
void ServiceModel::fit() {
  since_fit_ = 0;
  double below = 0;  // seconds of levels up to c
  double above = 0;  // seconds over level, of the others
  double above_count = 0;
  double above_logs = 0;
  for (size_t i = 0; i < kLevels; ++i) {
    above += seconds_[i] / kLevel.value[i];
    above_count += counts_[i];
    above_logs += counts_[i] * kLevel.log[i];
  }
  double best = -INFINITY;
  double likelihood = 0;
  for (size_t i = 0; i < kLevels; ++i) {
    const double width = kLevel.value[i];
    below += seconds_[i];
    above -= seconds_[i] / width;
    above_count -= counts_[i];
    above_logs -= counts_[i] * kLevel.log[i];
    const double mean = (below + width * std::max(above, 0.0)) / count_;
    likelihood = -count_ * std::log(mean) - (above_logs - above_count * kLevel.log[i]);
    // Rounding must not prefer the narrower of two that fit alike.
    if (likelihood < best - 1e-9) continue;
    best = likelihood;
    fitted_width_ = width;
    mean_ = mean;
  }
  // The last one is wider than anything seen.
  const double evidence = (best - likelihood) / std::max(1.0, variation());
  if (evidence > kBelieved && count_ >= kBelievedCount) bounded_ = true;
  if (evidence < kDoubted) bounded_ = false;

  double together = 0;
  seen_width_ = 1;
  for (size_t level = kLevels; level-- > 0;) {
    together += counts_[level];
    if (together < kSeenCount) continue;
    seen_width_ = kLevel.value[level];
    break;
  }
}

double ServiceModel::mean_seconds(double prior) const {
  double mean = mean_;
  // Whether the latest differ from all by more than chance would have it.
  const double error = std::sqrt(std::max(variation(), 0.01) / std::max(recent_count_, 1.0));
  if (recent_count_ >= kRecentHalfLife && std::abs(recent_ratio_ - 1) > 3 * error) {
    mean *= recent_ratio_;
  }
  if (prior <= 0) return mean;
  return (mean * count_ + prior * kPriorCount) / (count_ + kPriorCount);
}

double ServiceModel::variation() const {
  if (ratio_count_ < 2) return 1;
  const double mean = ratio_sum_ / ratio_count_;
  return std::max(0.0, ratio_squares_ / ratio_count_ / (mean * mean) - 1);
}

double ServiceModel::width() const {
  return std::min(fitted_width_, seen_width_);
}

std::optional<uint32_t> ServiceModel::useful_at_once() const {
  if (!bounded_) return std::nullopt;
  const double more = since_probe_ >= kProbeEvery ? std::max(1.0, fitted_width_ / 4) : 0;
  return static_cast<uint32_t>(std::lround(fitted_width_ + more));
}

}  // namespace mesclun::gateway
