// Watches the application while it serves, and ends the instance when it stays failed.
#pragma once

#include "companion/application_link.h"
#include "companion/ending.h"
#include "companion/status_pages.h"

namespace mesclun::companion {

// Runs on:   one loop. Both loops end with Cancelled only.
// Lifetime:  all that it is given outlives it.
class ApplicationWatch {
 public:
  // `front` may be null: an instance without one.
  ApplicationWatch(const ApplicationConfig& config, Clock& clock, HealthJudge& judge,
                   const StatusPages& pages, const Front* front, Endings& endings)
      : config_(config),
        clock_(clock),
        judge_(judge),
        pages_(pages),
        front_(front),
        endings_(endings) {}

  // Asks it every application.check.interval.
  Task<Result<>> check_loop(ApplicationLink& link);
  // Says when the health changes, and acts when it stays failed.
  Task<Result<>> health_loop();

 private:
  void look();
  void report(const HealthVerdict& verdict);

  const ApplicationConfig& config_;
  Clock& clock_;
  HealthJudge& judge_;
  const StatusPages& pages_;
  const Front* front_;
  Endings& endings_;

  Health known_ = Health::Starting;
  std::optional<TimePoint> failed_since_;
  bool acted_ = false;  // on this failure
};

}  // namespace mesclun::companion
