#include "companion/status_pages.h"

#include "base/json.h"
#include "companion/metrics_text.h"

namespace mesclun::companion {

namespace {

constexpr std::string_view kPrefix = "/mesclun-app/";

}  // namespace

HealthVerdict StatusPages::health() const {
  return judge_.verdict(clock_.now(), front_ == nullptr ? WorkFacts{} : front_->work_facts());
}

bool StatusPages::is_ready(const HealthVerdict& verdict) const {
  return verdict.health == Health::Ready ||
         (verdict.health == Health::Busy && config_.front.ready_while_busy);
}

std::string StatusPages::describe(const HealthVerdict& verdict) const {
  // Published applications answer {"status": ...}; the same word under both names serves them too.
  json::object out{{"state", to_string(verdict.health)}, {"status", to_string(verdict.health)}};
  if (!verdict.reason.empty()) out["reason"] = verdict.reason;
  if (front_ != nullptr) {
    const RequestQueue& queue = front_->queue();
    out["queued"] = queue.waiting();
    out["in_flight"] = queue.with_application();
    out["queue_max"] = queue.rules().queue_max;
  }
  const MonitorStatus monitor = monitor_();
  if (!monitor.node_class.empty()) out["node_class"] = monitor.node_class;
  if (monitor.rate) out["rate"] = *monitor.rate;
  return json::serialize(out);
}

bool StatusPages::is_awaited(std::string_view path) const {
  return path == "/mesclun-app/started" && !judge_.is_started() &&
         health().health == Health::Starting;
}

std::optional<StatusPage> StatusPages::find(std::string_view path) const {
  const bool health_path = !config_.front.health_path.empty() && path == config_.front.health_path;
  if (!health_path && !path.starts_with(kPrefix)) return std::nullopt;
  const std::string_view page = health_path ? "health" : path.substr(kPrefix.size());
  const HealthVerdict verdict = health();
  const std::string json_type = "application/json";
  if (page == "health")
    return StatusPage{verdict.alive() ? 200 : 503, json_type, describe(verdict)};
  if (page == "ready") {
    return StatusPage{is_ready(verdict) ? 200 : 503, json_type, describe(verdict)};
  }
  if (page == "started") {
    return StatusPage{judge_.is_started() ? 200 : 503, json_type, describe(verdict)};
  }
  if (page == "metrics") {
    return StatusPage{200, "text/plain; version=0.0.4; charset=utf-8",
                      metrics_text(front_, verdict, monitor_())};
  }
  return StatusPage{404, json_type,
                    R"({"error":{"code":"not_found","message":"there are /mesclun-app/health, )"
                    R"(ready, started and metrics"}})"};
}

}  // namespace mesclun::companion
