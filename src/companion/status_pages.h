// What the companion tells about itself: health, readiness, metrics. Never waits for anything.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "companion/front.h"

namespace mesclun::companion {

// What the performance monitor knows, for people and Prometheus.
struct MonitorStatus {
  std::string node_class;      // "bad", "slow", "normal", "fast"; empty: not judged yet
  std::optional<double> rate;  // of the last window, work a busy second
};

struct StatusPage {
  int status = 200;
  std::string content_type;
  std::string body;
};

class StatusPages {
 public:
  // `front` may be null: an instance without one.
  StatusPages(Clock& clock, const Config& config, const HealthJudge& judge, const Front* front,
              std::function<MonitorStatus()> monitor)
      : clock_(clock),
        config_(config),
        judge_(judge),
        front_(front),
        monitor_(std::move(monitor)) {}

  // Nothing: the path is not ours. `path` is without the query.
  std::optional<StatusPage> find(std::string_view path) const;
  HealthVerdict health() const;
  bool is_ready(const HealthVerdict& verdict) const;
  // `path` asks whether the instance has started, and it has not: the answer may wait for that.
  bool is_awaited(std::string_view path) const;

 private:
  std::string describe(const HealthVerdict& verdict) const;

  Clock& clock_;
  const Config& config_;
  const HealthJudge& judge_;
  const Front* front_;
  std::function<MonitorStatus()> monitor_;
};

}  // namespace mesclun::companion
