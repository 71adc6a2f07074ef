// Watches the node while it serves: its speed, its GPUs, and what follows from them.
#pragma once

#include "companion/check_runner.h"
#include "companion/ending.h"
#include "companion/performance_monitor.h"
#include "companion/status_pages.h"

namespace mesclun::companion {

// Runs on:   one loop. Both loops end with Cancelled, or when there is nothing to watch.
// Lifetime:  all that it is given outlives it.
class NodeWatch final : public FrontObserver {
 public:
  NodeWatch(const Config& config, Clock& clock, CommandRunner& commands,
            const CheckEnvironment& environment, Endings& endings)
      : config_(config),
        clock_(clock),
        commands_(commands),
        environment_(environment),
        endings_(endings) {}

  // The front whose limits follow the node's speed.
  void steer(Front& front) { front_ = &front; }

  // Judges the speed window by window; the first one begins with the call.
  Task<Result<>> speed_loop();
  Task<Result<>> gpu_loop();

  MonitorStatus status() const;

 private:
  void finished(TimePoint began, TimePoint ended, double work) override;
  void follow(const MonitorDecision& decision);
  void act(const MonitorDecision& decision);

  const Config& config_;
  Clock& clock_;
  CommandRunner& commands_;
  const CheckEnvironment& environment_;
  Endings& endings_;
  Front* front_ = nullptr;

  std::optional<PerformanceMonitor> monitor_;
  std::optional<double> last_rate_;
};

}  // namespace mesclun::companion
