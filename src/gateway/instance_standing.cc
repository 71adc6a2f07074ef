#include "gateway/instance_standing.h"

#include <algorithm>
#include <cmath>

namespace mesclun::gateway {

namespace {

// After so long nothing is fresh; until then places double every second.
constexpr Duration kFreshTime = 10s;
// A refusal is old news after so long, whatever it asked for: the next request finds out.
constexpr Duration kRefusingMax = 1s;
constexpr Duration kRefusingMin = 100ms;
// What an instance said of its load counts for so long.
constexpr Duration kLoadTime = 10s;
// A way as long as this share of the work leaves the instance idle between two requests.
constexpr double kReachCounts = 0.05;
constexpr uint32_t kPlacesMax = 1'000'000;

}  // namespace

void InstanceStanding::leave(const ServiceModel::Stay& stay, const Outcome& outcome,
                             TimePoint now) {
  using enum Outcome::Kind;
  if (outcome.load) {
    load_ = outcome.load;
    load_in_flight_ = model_.present();
    load_time_ = now;
  }
  switch (outcome.kind) {
    case Unknown:
      break;
    case Served:
      model_.learn(stay, now);
      failures_.count(false);
      ejections_in_a_row_ = 0;
      refusing_until_ = TimePoint();
      taken_max_ = std::min(taken_max_ + 1 / std::max(1.0, taken_max_), 1e9);
      if (fresh_places_ < kPlacesMax) ++fresh_places_;
      break;
    case Busy:
      take_refusal(outcome, now);
      break;
    case Failed:
      failures_.count(true);
      break;
  }
  model_.leave(now);
}

void InstanceStanding::take_refusal(const Outcome& outcome, TimePoint now) {
  // It has those that are there beside the one that it refused.
  const uint32_t others = model_.present() > 0 ? model_.present() - 1 : 0;
  taken_max_ = std::max<double>(1, std::min<double>(taken_max_, others));
  refusing_until_ = now + std::clamp(outcome.retry_after, kRefusingMin, kRefusingMax);
}

void InstanceStanding::begin_anew(TimePoint now, uint32_t places) {
  fresh_since_ = now;
  fresh_places_ = places;
  failures_.forget();
  refusing_until_ = TimePoint();
}

void InstanceStanding::eject(TimePoint now, Duration length) {
  ejected_until_ = now + length;
  ++ejections_in_a_row_;
  // Back among the others it has to show itself, one request at a time.
  begin_anew(ejected_until_, 1);
}

void InstanceStanding::note_reach(Duration reach) {
  const double seconds = to_seconds(reach);
  // The least there was says what the way takes; slowly it may have become longer.
  reach_seconds_ = reach_seconds_ == 0 ? seconds : std::min(seconds, reach_seconds_ * 1.05);
}

bool InstanceStanding::load_is_fresh(TimePoint now) const {
  return load_.has_value() && now - load_time_ < kLoadTime;
}

uint32_t InstanceStanding::places(TimePoint now, double mean) const {
  double most = taken_max_;
  const double way = mean > 0 ? reach_seconds_ / mean : 0;
  // So many are on their way while one is being served.
  const auto with_way = [way](double at_once) {
    return way > kReachCounts ? at_once + std::ceil(at_once * std::min(1.0, way)) : at_once;
  };
  if (load_is_fresh(now)) {
    // What others than this gateway have there.
    const double all = load_->utilization * load_->places;
    const double others = std::max(0.0, all - load_in_flight_);
    most = std::min(most, std::max(1.0, with_way(load_->places) - others));
  } else if (const auto useful = model_.useful_at_once()) {
    most = std::min(most, with_way(*useful));
  }
  if (now < fresh_since_ + kFreshTime) {
    const double seconds = std::max(0.0, std::floor(to_seconds(now - fresh_since_)));
    most = std::min(most, fresh_places_ * std::exp2(seconds));
  }
  return static_cast<uint32_t>(std::clamp<double>(most, 1, kPlacesMax));
}

AdaptiveCandidate InstanceStanding::candidate(TimePoint now, double prior) const {
  AdaptiveCandidate candidate;
  candidate.ejected = ejected(now);
  candidate.refusing = now < refusing_until_;
  candidate.in_flight = model_.present();
  candidate.mean_seconds = model_.mean_seconds(prior);
  candidate.places = places(now, candidate.mean_seconds);
  candidate.width = load_is_fresh(now) ? load_->places : model_.width();
  candidate.variation = model_.variation();
  return candidate;
}

}  // namespace mesclun::gateway
