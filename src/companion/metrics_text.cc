#include "companion/metrics_text.h"

namespace mesclun::companion {

namespace {

void write_front(const Front& front, MetricsText& w) {
  const FrontStats& stats = front.stats();
  const RequestQueue& queue = front.queue();
  w.single("queue_length", "gauge", "Requests that wait for the application.",
           static_cast<double>(queue.waiting()));
  w.single("in_flight", "gauge", "Unanswered requests that the application has.",
           static_cast<double>(queue.with_application()));
  w.single("dispatches", "gauge", "Requests or batches with the application.",
           static_cast<double>(queue.dispatches()));
  w.single("queue_max", "gauge", "Requests accepted and not answered at most.",
           static_cast<double>(queue.rules().queue_max));
  w.single("concurrency", "gauge", "Requests or batches with the application at most.",
           static_cast<double>(queue.rules().concurrency));
  w.single("accepted_total", "counter", "Requests that were taken into the queue.",
           static_cast<double>(stats.accepted));
  w.single("cancelled_total", "counter", "Accepted requests whose callers went away.",
           static_cast<double>(stats.cancelled));
  w.family("answers_total", "counter", "Answers to callers by status.");
  for (const auto& [status, count] : stats.answers) {
    w.value(static_cast<double>(count), {{"status", std::to_string(status)}});
  }
  w.family("refusals_total", "counter", "Answers of the companion itself by cause.");
  for (const auto& [code, count] : stats.refusals) {
    w.value(static_cast<double>(count), {{"cause", code}});
  }
  w.single("wait_seconds", "From acceptance to the application.", stats.wait);
  w.single("service_seconds", "Of a request or batch with the application.", stats.service);
  w.single("batches_total", "counter", "Batches sent.", static_cast<double>(stats.batches));
  w.single("batch_items_total", "counter", "Requests sent in batches.",
           static_cast<double>(stats.batch_items));
  w.single("batch_failures_total", "counter", "Batches that failed as a whole.",
           static_cast<double>(stats.batch_failures));
  w.single("retried_singly_total", "counter", "Items tried once more alone.",
           static_cast<double>(stats.retried_singly));
  w.single("work_total", "counter", "Work done, in the unit of monitor.work.", stats.work);
}

}  // namespace

std::string metrics_text(const Front* front, const HealthVerdict& verdict,
                         const MonitorStatus& monitor) {
  MetricsText w("mesclun_app_");
  w.family("health", "gauge", "1 for the state the instance is in.");
  for (const Health health :
       {Health::Starting, Health::Ready, Health::Busy, Health::Failed, Health::Stopping}) {
    w.value(health == verdict.health ? 1 : 0, {{"state", to_string(health)}});
  }
  if (front != nullptr) write_front(*front, w);
  if (monitor.rate) {
    w.single("work_rate", "gauge", "Work a busy second in the last window.", *monitor.rate);
  }
  w.family("node_class", "gauge", "1 for the class of the node in the last window.");
  for (const std::string_view name : {"bad", "slow", "normal", "fast"}) {
    w.value(monitor.node_class == name ? 1 : 0, {{"class", name}});
  }
  return w.take();
}

}  // namespace mesclun::companion
