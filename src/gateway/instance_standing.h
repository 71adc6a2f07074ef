// What a gateway knows of one instance of an `adaptive` group, beside its route: how it serves, how
// many requests it takes, how often it fails. Pure.
#pragma once

#include "gateway/adaptive.h"
#include "gateway/outcome.h"
#include "gateway/outlier.h"
#include "gateway/service_model.h"

namespace mesclun::gateway {

// Runs on: the gateway's loop.
class InstanceStanding {
 public:
  // A burst must not all go to the replica that wakes first.
  static constexpr uint32_t kFreshPlaces = 4;

  // `now`: it begins to serve, or does so again.
  explicit InstanceStanding(TimePoint now) : fresh_since_(now) {}

  ServiceModel::Stay arrive(TimePoint now) { return model_.arrive(now); }
  void leave(const ServiceModel::Stay& stay, const Outcome& outcome, TimePoint now);
  // Was not ready, and is again.
  void begin_anew(TimePoint now, uint32_t places);
  // `reach`: from the gateway to the application and back.
  void note_reach(Duration reach);

  // All but `eligible` and `suspect`. `prior`: the group's mean, in seconds.
  AdaptiveCandidate candidate(TimePoint now, double prior) const;

  const ServiceModel& model() const { return model_; }
  const FailureShare& failures() const { return failures_; }
  bool ejected(TimePoint now) const { return now < ejected_until_; }
  int ejections() const { return ejections_in_a_row_; }
  void eject(TimePoint now, Duration length);

 private:
  // `mean`: seconds of a request here.
  uint32_t places(TimePoint now, double mean) const;
  bool load_is_fresh(TimePoint now) const;
  void take_refusal(const Outcome& outcome, TimePoint now);

  TimePoint fresh_since_;
  uint32_t fresh_places_ = kFreshPlaces;
  ServiceModel model_;
  FailureShare failures_;
  TimePoint ejected_until_;
  int ejections_in_a_row_ = 0;
  // How many at once it took, of late: grows with what it serves, ends below what it refused.
  double taken_max_ = 1e9;
  TimePoint refusing_until_;
  std::optional<LoadReport> load_;
  uint32_t load_in_flight_ = 0;  // of ours, when it said so
  TimePoint load_time_;
  double reach_seconds_ = 0;
};

}  // namespace mesclun::gateway
