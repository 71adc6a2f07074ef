// What goes on while it serves: checks of the application, its health, the node's speed and GPU.
#include "base/log.h"
#include "companion/companion.h"
#include "companion/gpu_query.h"

namespace mesclun::companion {

namespace {

constexpr Duration kHealthInterval = 100ms;
constexpr Duration kGpuQueryMax = 10s;
constexpr size_t kCheckBodyMax = 1024 * 1024;

}  // namespace

Task<Result<>> Companion::check_application() {
  const ApplicationConfig& config = config_.application;
  const TimePoint deadline = clock_.now() + config.check_timeout;
  if (config.check_path.empty()) {
    co_return co_await link_->probe(config.check_timeout);
  }
  HttpCall call{.target = config.check_path};
  call.headers.add("User-Agent", "mesclun-app");
  const Result<HttpReply> reply = co_await link_->call(std::move(call), deadline, kCheckBodyMax);
  if (!reply && reply.code() == ErrorCode::DeadlineExceeded) {
    co_return Error::deadline(fmt::format("no answer from {} within {:.1f} s", config.check_path,
                                          to_seconds(config.check_timeout)));
  }
  if (!reply) co_return reply.error();
  if (reply->status >= 500) {
    co_return Error::unavailable(fmt::format("{} answered {}", config.check_path, reply->status));
  }
  co_return Result<>();
}

Task<Result<>> Companion::check_loop() {
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(config_.application.check_interval));
    const Result<> answer = co_await check_application();
    if (answer) {
      judge_.check_passed();
    } else if (answer.code() == ErrorCode::Cancelled) {
      co_return answer;
    } else {
      const bool at_work = front_ && front_->queue().dispatches() > 0;
      judge_.check_failed(answer.error().message, at_work);
    }
  }
}

// Says when the state changes, and ends what stays failed.
Task<Result<>> Companion::health_loop() {
  Health known = Health::Starting;
  std::optional<TimePoint> failed_since;
  bool acted = false;
  while (true) {
    const HealthVerdict verdict = pages_->health();
    const TimePoint now = clock_.now();
    if (verdict.health != known) {
      const bool was_bad = known == Health::Failed;
      known = verdict.health;
      if (known == Health::Failed) {
        log_warning("health", "failed", {{"reason", verdict.reason}});
      } else if (was_bad) {
        log_info("health", "healthy again");
      } else {
        log_debug("health", to_string(known), {{"reason", verdict.reason}});
      }
    }
    if (known != Health::Failed || ending_) {
      failed_since.reset();
      acted = false;
    } else if (!failed_since) {
      failed_since = now;
    } else if (!acted && now - *failed_since >= config_.application.failed_grace) {
      acted = true;
      act(config_.application.on_failed, "the application failed: " + verdict.reason, false);
    }
    CO_TRY_DO(co_await clock_.sleep_for(kHealthInterval));
  }
}

void Companion::finished(TimePoint began, TimePoint ended, double work) {
  if (monitor_) monitor_->finished(began, ended, work);
}

MonitorStatus Companion::monitor_status() const {
  if (!monitor_) return {};
  MonitorStatus status;
  if (monitor_->node_class() != NodeClass::Unknown) {
    status.node_class = to_string(monitor_->node_class());
  }
  status.rate = last_rate_;
  return status;
}

bool Companion::few_nodes_left() const {
  const std::optional<int> left = environment_.nodes_left();
  return left && *left < config_.checks.nodes_left_min;
}

void Companion::follow(const MonitorDecision& decision) {
  switch (decision.kind) {
    case MonitorDecision::Kind::QueueLimit:
      log_info("monitor", "the queue gets another length",
               {{"queue_max", decision.limit}, {"why", decision.reason}});
      if (front_) front_->set_queue_max(decision.limit);
      return;
    case MonitorDecision::Kind::Concurrency:
      log_info("monitor", "the application gets another concurrency",
               {{"concurrency", decision.limit}, {"why", decision.reason}});
      if (front_) front_->set_concurrency(decision.limit);
      return;
    case MonitorDecision::Kind::Act:
      if (decision.action != Action::Report && few_nodes_left()) {
        log_warning("monitor", "few other nodes are left, so this one is kept",
                    {{"reason", decision.reason}});
        if (front_ && monitor_) {
          front_->set_queue_max(std::min(config_.front.queue_max, config_.monitor.queue.slow));
        }
        return;
      }
      act(decision.action, decision.reason, false);
      return;
  }
}

Task<Result<>> Companion::monitor_loop() {
  // The first window begins when it serves, not when the container started.
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

Task<Result<>> Companion::gpu_loop() {
  GpuRule rule(config_.monitor);
  while (true) {
    const Result<GpuReport> report = co_await query_gpus(runner_, kGpuQueryMax, false);
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

Task<Result<>> Companion::summary_loop() {
  FrontStats before;
  while (true) {
    CO_TRY_DO(co_await clock_.sleep_for(config_.log_summary));
    const HealthVerdict verdict = pages_->health();
    if (!front_) {
      log_info("summary", to_string(verdict.health));
      continue;
    }
    const FrontStats now = front_->stats();
    const auto total = [](const auto& counts) {
      uint64_t sum = 0;
      for (const auto& [key, count] : counts) sum += count;
      return sum;
    };
    const uint64_t waits = now.wait.count() - before.wait.count();
    const uint64_t batches = now.batches - before.batches;
    const MonitorStatus monitor = monitor_status();
    log_info(
        "summary", to_string(verdict.health),
        {{"answers", total(now.answers) - total(before.answers)},
         {"refused", total(now.refusals) - total(before.refusals)},
         {"cancelled", now.cancelled - before.cancelled},
         {"waiting", front_->queue().waiting()},
         {"in_flight", front_->queue().with_application()},
         {"queue_max", front_->queue().rules().queue_max},
         {"wait_mean_s", waits == 0 ? 0 : (now.wait.sum() - before.wait.sum()) / waits},
         {"batches", batches},
         {"batch_fill", batches == 0 ? 0
                                     : static_cast<double>(now.batch_items - before.batch_items) /
                                           static_cast<double>(batches * config_.batch.size_max)},
         {"class", monitor.node_class},
         {"rate", monitor.rate.value_or(0)}});
    before = now;
  }
}

}  // namespace mesclun::companion
