#include "companion/performance_monitor.h"

#include <algorithm>

namespace mesclun::companion {

std::string_view to_string(NodeClass node_class) {
  switch (node_class) {
    case NodeClass::Unknown:
      return "unknown";
    case NodeClass::Bad:
      return "bad";
    case NodeClass::Slow:
      return "slow";
    case NodeClass::Normal:
      return "normal";
    case NodeClass::Fast:
      return "fast";
  }
  return "?";
}

namespace {

NodeClass class_of(double rate, const MonitorConfig& config) {
  if (rate < config.bad_below) return NodeClass::Bad;
  if (rate < config.slow_below) return NodeClass::Slow;
  return rate > config.fast_above ? NodeClass::Fast : NodeClass::Normal;
}

bool is_low(NodeClass node_class) {
  return node_class == NodeClass::Bad || node_class == NodeClass::Slow;
}

// How far from `current` a rate gets where each limit on its way lies further off by that share.
NodeClass reach(NodeClass current, double rate, double share, const MonitorConfig& config) {
  const NodeClass found = class_of(rate, config);
  if (found < current) return std::min(class_of(rate * (1 + share), config), current);
  if (found > current) return std::max(class_of(rate / (1 + share), config), current);
  return current;
}

}  // namespace

NodeClass next_class(NodeClass current, std::optional<double> previous, double rate,
                     const MonitorConfig& config) {
  if (current == NodeClass::Unknown) return class_of(rate, config);
  const NodeClass at_once = reach(current, rate, 2 * config.margin, config);
  const NodeClass now = reach(current, rate, config.margin, config);
  const NodeClass before = previous ? reach(current, *previous, config.margin, config) : current;
  if (now < current) return std::min(at_once, std::clamp(before, now, current));
  return std::max(at_once, std::clamp(before, current, now));
}

PerformanceMonitor::PerformanceMonitor(MonitorConfig config, int queue_max, int concurrency,
                                       TimePoint now)
    : config_(std::move(config)),
      queue_max_(queue_max),
      queue_limit_(config_.work ? bounded_queue(config_.queue.start) : queue_max),
      concurrency_(concurrency) {
  begin_window(now);
}

void PerformanceMonitor::begin_window(TimePoint now) {
  window_start_ = now;
  window_end_ = now + config_.window;
  busy_.clear();
  request_time_ = {};
  work_ = 0;
  samples_ = 0;
}

void PerformanceMonitor::finished(TimePoint start, TimePoint end, double work) {
  if (!config_.work || end < start) return;
  work_ += std::max(work, 0.0);
  ++samples_;
  request_time_ += end - start;
  // The one before may reach into this one; those that begin inside it melt into it.
  auto next = busy_.upper_bound(start);
  if (next != busy_.begin() && std::prev(next)->second >= start) {
    --next;
    start = next->first;
  }
  while (next != busy_.end() && next->first <= end) {
    end = std::max(end, next->second);
    next = busy_.erase(next);
  }
  busy_.emplace(start, end);
}

WindowNumbers PerformanceMonitor::current(TimePoint now) const {
  Duration busy{};
  for (const auto& [start, end] : busy_) busy += end - start;
  WindowNumbers numbers{.work = work_, .samples = samples_, .length = now - window_start_};
  if (busy > Duration()) {
    numbers.rate = work_ / to_seconds(busy);
    numbers.mean_concurrency = to_seconds(request_time_) / to_seconds(busy);
  }
  if (numbers.length > Duration()) {
    // The first request may have begun before the window.
    numbers.busy_share = std::min(1.0, to_seconds(busy) / to_seconds(numbers.length));
  }
  return numbers;
}

std::optional<WindowReport> PerformanceMonitor::judge(TimePoint now) {
  if (!config_.work || now < window_end_) return std::nullopt;
  WindowReport report{.numbers = current(now)};
  const NodeClass found = class_of(report.numbers.rate, config_);
  report.not_judged = why_not_judged(report.numbers, found);
  if (report.not_judged.empty()) {
    class_ = next_class(class_, judged_rate_, report.numbers.rate, config_);
    judged_rate_ = report.numbers.rate;
    decide(report.numbers, found, report);
  }
  report.node_class = class_;
  if (report.numbers.samples > 0 && report.numbers.samples < config_.samples_min) {
    window_end_ = now + config_.window;
  } else {
    begin_window(now);
  }
  return report;
}

std::string PerformanceMonitor::why_not_judged(const WindowNumbers& numbers,
                                               NodeClass found) const {
  if (numbers.samples < config_.samples_min || numbers.mean_concurrency <= 0) {
    return fmt::format("{} requests finished, monitor.samples_min is {}", numbers.samples,
                       config_.samples_min);
  }
  const double load_min = config_.load_min * concurrency_;
  if (is_low(found) && numbers.mean_concurrency < load_min) {
    return fmt::format("light load: {:.2f} requests at a time, {:.2f} needed to judge",
                       numbers.mean_concurrency, load_min);
  }
  return {};
}

void PerformanceMonitor::decide(const WindowNumbers& numbers, NodeClass found,
                                WindowReport& report) {
  const std::string why = describe(numbers, class_);
  if (class_ == NodeClass::Bad && found == class_) {
    report.decisions.push_back(
        {.kind = MonitorDecision::Kind::Act, .action = config_.on_bad, .reason = why});
    if (config_.on_bad != Action::Report) return;
  }
  const int wanted = is_low(class_)              ? config_.queue.slow
                     : class_ == NodeClass::Fast ? config_.queue.fast
                                                 : config_.queue.normal;
  if (const int limit = bounded_queue(wanted); limit != queue_limit_) {
    queue_limit_ = limit;
    report.decisions.push_back(
        {.kind = MonitorDecision::Kind::QueueLimit, .limit = limit, .reason = why});
  }
  if (config_.concurrency_max <= 0) return;
  int next = concurrency_;
  if (is_low(class_) && is_low(found)) next = std::max(1, concurrency_ - 1);
  const bool is_loaded = numbers.mean_concurrency >= config_.load_min * concurrency_;
  const bool is_fast = class_ == NodeClass::Fast && found == class_;
  if (is_fast && is_loaded && concurrency_ < config_.concurrency_max) ++next;
  if (next != concurrency_) {
    concurrency_ = next;
    report.decisions.push_back(
        {.kind = MonitorDecision::Kind::Concurrency, .limit = next, .reason = why});
  }
}

int PerformanceMonitor::bounded_queue(int limit) const {
  return std::clamp(limit, 1, std::max(1, queue_max_));
}

std::string PerformanceMonitor::describe(const WindowNumbers& numbers, NodeClass node_class) const {
  std::string limit;
  if (node_class == NodeClass::Bad) limit = fmt::format("bad is below {:.4g}", config_.bad_below);
  if (node_class == NodeClass::Slow)
    limit = fmt::format("slow is below {:.4g}", config_.slow_below);
  if (node_class == NodeClass::Fast)
    limit = fmt::format("fast is above {:.4g}", config_.fast_above);
  if (node_class == NodeClass::Normal) {
    limit = fmt::format("normal is {:.4g} to {:.4g}", config_.slow_below, config_.fast_above);
  }
  return fmt::format(
      "{} node: {:.4g} work a second of busy time, {}; {} requests in {:.0f} s, {:.0f} % busy, "
      "{:.2f} at a time",
      to_string(node_class), numbers.rate, limit, numbers.samples, to_seconds(numbers.length),
      numbers.busy_share * 100, numbers.mean_concurrency);
}

bool GpuRule::count(bool is_over, int& in_a_row) const {
  in_a_row = is_over ? in_a_row + 1 : 0;
  if (in_a_row < std::max(1, config_.gpu_readings)) return false;
  in_a_row = 0;
  return true;
}

std::optional<MonitorDecision> GpuRule::reading(std::optional<double> temperature,
                                                std::optional<double> vram_used_share) {
  const double hot = config_.gpu_temperature_max;
  const double full = config_.vram_used_max;
  const bool is_hot = count(hot > 0 && temperature && *temperature > hot, hot_in_a_row_);
  const bool is_full =
      count(full > 0 && vram_used_share && *vram_used_share > full, full_in_a_row_);
  if (!is_hot && !is_full) return std::nullopt;
  MonitorDecision decision{.kind = MonitorDecision::Kind::Act, .action = config_.on_gpu};
  decision.reason = is_hot
                        ? fmt::format("GPU too hot: {:.0f} °C, {:.0f} allowed", *temperature, hot)
                        : fmt::format("GPU memory too full: {:.1f} %, {:.1f} allowed",
                                      *vram_used_share * 100, full * 100);
  decision.reason += fmt::format(", {} readings in a row", std::max(1, config_.gpu_readings));
  return decision;
}

}  // namespace mesclun::companion
