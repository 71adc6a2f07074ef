#include "companion/summary_log.h"

#include "base/log.h"

namespace mesclun::companion {

namespace {

uint64_t total(const auto& counts) {
  uint64_t sum = 0;
  for (const auto& [key, count] : counts) sum += count;
  return sum;
}

double mean_of(double sum, uint64_t count) {
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

void log_summary(std::string_view health, const FrontStats& before, const FrontStats& now,
                 const Front& front, const MonitorStatus& monitor) {
  const uint64_t batches = now.batches - before.batches;
  const double items = static_cast<double>(now.batch_items - before.batch_items);
  log_info("summary", health,
           {{"answers", total(now.answers) - total(before.answers)},
            {"refused", total(now.refusals) - total(before.refusals)},
            {"cancelled", now.cancelled - before.cancelled},
            {"waiting", front.queue().waiting()},
            {"in_flight", front.queue().with_application()},
            {"queue_max", front.queue().rules().queue_max},
            {"wait_mean_s",
             mean_of(now.wait.sum() - before.wait.sum(), now.wait.count() - before.wait.count())},
            {"batches", batches},
            {"batch_fill", mean_of(items / front.config().batch.size_max, batches)},
            {"class", monitor.node_class},
            {"rate", monitor.rate.value_or(0)}});
}

}  // namespace

Task<Result<>> log_summaries(const Config& config, Clock& clock, const StatusPages& pages,
                             const Front* front, const NodeWatch& node) {
  FrontStats before;
  while (true) {
    CO_TRY_DO(co_await clock.sleep_for(config.log_summary));
    const std::string_view health = to_string(pages.health().health);
    if (front == nullptr) {
      log_info("summary", health);
      continue;
    }
    const FrontStats now = front->stats();
    log_summary(health, before, now, *front, node.status());
    before = now;
  }
}

}  // namespace mesclun::companion
