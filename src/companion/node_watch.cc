#include "companion/node_watch.h"

#include <algorithm>

#include "base/log.h"
#include "companion/gpu_query.h"

namespace mesclun::companion {

namespace {

constexpr Duration kGpuQueryMax = 10s;

}  // namespace

void NodeWatch::finished(TimePoint began, TimePoint ended, double work) {
  if (monitor_) monitor_->finished(began, ended, work);
}

MonitorStatus NodeWatch::status() const {
  if (!monitor_) return {};
  MonitorStatus status;
  if (monitor_->node_class() != NodeClass::Unknown) {
    status.node_class = to_string(monitor_->node_class());
  }
  status.rate = last_rate_;
  return status;
}

Task<Result<>> NodeWatch::speed_loop() {
  monitor_.emplace(config_.monitor, config_.front.queue_max, config_.front.concurrency,
                   clock_.now());
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_until(monitor_->window_end()));
    const std::optional<WindowReport> report = monitor_->judge(clock_.now());
    if (!report) continue;
    const WindowNumbers& numbers = report->numbers;
    if (numbers.samples > 0) last_rate_ = numbers.rate;
    log_info("monitor", "a window has ended",
             {{"class", to_string(report->node_class)},
              {"rate", numbers.rate},
              {"work", numbers.work},
              {"samples", numbers.samples},
              {"busy", numbers.busy_share},
              {"concurrency", numbers.mean_concurrency},
              {"not_judged", report->not_judged}});
    for (const MonitorDecision& decision : report->decisions) follow(decision);
  }
}

Task<Result<>> NodeWatch::gpu_loop() {
  GpuRule rule(config_.monitor);
  while (true) {
    const Result<GpuReport> report = co_await query_gpus(commands_, kGpuQueryMax, false);
    if (!report && report.code() == ErrorCode::NotFound) co_return Result<>();  // no GPU here
    if (!report && report.code() == ErrorCode::Cancelled) co_return report.error();
    if (report) {
      const auto decision =
          rule.reading(report->worst().temperature, report->worst_vram_used_share());
      if (decision) follow(*decision);
    }
    CO_TRY_DO(co_await clock_.sleep_for(config_.monitor.gpu_interval));
  }
}

void NodeWatch::follow(const MonitorDecision& decision) {
  switch (decision.kind) {
    case MonitorDecision::Kind::QueueLimit:
      log_info("monitor", "the queue gets another length",
               {{"queue_max", decision.limit}, {"why", decision.reason}});
      if (front_ != nullptr) front_->set_queue_max(decision.limit);
      return;
    case MonitorDecision::Kind::Concurrency:
      log_info("monitor", "the application gets another concurrency",
               {{"concurrency", decision.limit}, {"why", decision.reason}});
      if (front_ != nullptr) front_->set_concurrency(decision.limit);
      return;
    case MonitorDecision::Kind::Act:
      act(decision);
      return;
  }
}

void NodeWatch::act(const MonitorDecision& decision) {
  const std::optional<int> nodes_left = environment_.nodes_left();
  const bool few_left = nodes_left && *nodes_left < config_.checks.nodes_left_min;
  if (decision.action == Action::Report || !few_left) {
    endings_.act(decision.action, decision.reason, false);
    return;
  }
  log_warning("monitor", "few other nodes are left, so this one is kept",
              {{"reason", decision.reason}});
  if (front_ != nullptr && monitor_) {
    front_->set_queue_max(std::min(config_.front.queue_max, config_.monitor.queue.slow));
  }
}

}  // namespace mesclun::companion
