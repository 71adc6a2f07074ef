// How fast this node really works, and what follows: another node, a shorter or longer queue, more
// or less at a time. Plain state and arithmetic; nothing waits, nothing acts.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "companion/config.h"

namespace mesclun::companion {

enum class NodeClass { Unknown, Bad, Slow, Normal, Fast };
std::string_view to_string(NodeClass node_class);

struct MonitorDecision {
  enum class Kind { Act, QueueLimit, Concurrency };
  Kind kind = Kind::Act;
  Action action = Action::Report;  // of Act
  int limit = 0;                   // of the others: the new value
  std::string reason;              // with its numbers, for the platform and the log
};

// What one window came to. Times are those of the finished requests.
struct WindowNumbers {
  double rate = 0;  // work a second of busy time
  double work = 0;
  int samples = 0;
  double busy_share = 0;        // busy time of the window's length
  double mean_concurrency = 0;  // while busy
  Duration length{};
};

struct WindowReport {
  WindowNumbers numbers;
  NodeClass node_class = NodeClass::Unknown;  // the node's, from now on
  std::string not_judged;                     // why this window changed nothing; empty: it counts
  std::vector<MonitorDecision> decisions;
};

// The class of a node after one more window that counts. It leaves `current` when this window and the
// one before it are past a limit by config.margin, or this one by twice as much, so that a node near
// a limit keeps its class: as far as both windows reach, or as this one does. Unknown takes any class
// at once. `previous`: the rate of the window before that counted.
NodeClass next_class(NodeClass current, std::optional<double> previous, double rate,
                     const MonitorConfig& config);

// Rate = work of the requests that finished in a window / time in which at least one of them was
// with the application (the union of their intervals). Idle time and failed requests do not count.
//
//   bad_below > rate                 bad: config.on_bad; if that is Report, treated as slow
//   slow_below > rate                slow: queue.slow, one less at a time
//   fast_above < rate                fast: queue.fast, one more at a time
//   else                             normal: queue.normal
//
// The first window that counts gives the node its class; next_class() says when others change it.
// A window of another class than the node's neither acts nor moves the concurrency.
//
// A window with fewer than samples_min requests goes on for another one, so that a node too slow to
// finish enough of them is judged as well. A window of light load (mean concurrency below load_min
// of what is allowed) says nothing bad about a node, and does not raise the concurrency.
class PerformanceMonitor {
 public:
  // `queue_max` bounds every queue limit; `concurrency` is the one to start with.
  PerformanceMonitor(MonitorConfig config, int queue_max, int concurrency, TimePoint now);

  // A request, or a batch as one, that was answered well; `work` is the sum of a batch.
  void finished(TimePoint start, TimePoint end, double work);

  // At or after window_end() what the window came to; before it nothing.
  std::optional<WindowReport> judge(TimePoint now);
  TimePoint window_end() const { return window_end_; }

  NodeClass node_class() const { return class_; }
  int queue_limit() const { return queue_limit_; }
  int concurrency() const { return concurrency_; }
  // Of the window so far.
  WindowNumbers current(TimePoint now) const;

 private:
  std::string why_not_judged(const WindowNumbers& numbers, NodeClass found) const;
  void decide(const WindowNumbers& numbers, NodeClass found, WindowReport& report);
  int bounded_queue(int limit) const;
  std::string describe(const WindowNumbers& numbers, NodeClass node_class) const;
  void begin_window(TimePoint now);

  MonitorConfig config_;
  int queue_max_;
  NodeClass class_ = NodeClass::Unknown;
  std::optional<double> judged_rate_;  // of the last window that counted
  int queue_limit_;
  int concurrency_;

  TimePoint window_start_;
  TimePoint window_end_;
  // Disjoint busy intervals of the window, start to end; under load they melt into few.
  std::map<TimePoint, TimePoint> busy_;
  Duration request_time_{};  // sum of all intervals
  double work_ = 0;
  int samples_ = 0;
};

// Too hot or too full gpu_readings times in a row. Unknown values count as good.
class GpuRule {
 public:
  explicit GpuRule(MonitorConfig config) : config_(std::move(config)) {}

  std::optional<MonitorDecision> reading(std::optional<double> temperature,
                                         std::optional<double> vram_used_share);

 private:
  // True, and the count begins anew, when `is_over` came often enough in a row.
  bool count(bool is_over, int& in_a_row) const;

  MonitorConfig config_;
  int hot_in_a_row_ = 0;
  int full_in_a_row_ = 0;
};

}  // namespace mesclun::companion
