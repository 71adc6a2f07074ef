// The performance monitor over recorded traces: lines of requests with what each window came to.
#include "companion/performance_monitor.h"

#include <gmock/gmock.h>

namespace mesclun::companion {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using Kind = MonitorDecision::Kind;

const TimePoint kStart = TimePoint(1h);

// `count` requests one after the other from `from` on, each of `time`, with `gap` between them.
struct Phase {
  Duration from;
  int count;
  Duration time;
  Duration gap;
  double work;
  int at_once = 1;  // as many at the same time
};

MonitorConfig config_with_work() {
  MonitorConfig config;
  config.work.kind = FieldSource::Kind::Requests;
  return config;
}

// Feeds the requests in the order of their ends, judging as the loop does: every second.
std::vector<WindowReport> play(PerformanceMonitor& monitor, const std::vector<Phase>& phases,
                               Duration length) {
  std::vector<std::tuple<TimePoint, TimePoint, double>> ends;  // end, start, work
  for (const Phase& phase : phases) {
    TimePoint start = kStart + phase.from;
    for (int i = 0; i < phase.count; i += phase.at_once) {
      for (int k = 0; k < phase.at_once; ++k) {
        ends.emplace_back(start + phase.time, start, phase.work);
      }
      start += phase.time + phase.gap;
    }
  }
  std::sort(ends.begin(), ends.end());
  std::vector<WindowReport> reports;
  size_t next = 0;
  for (TimePoint now = kStart; now <= kStart + length; now += 1s) {
    for (; next < ends.size() && std::get<0>(ends[next]) <= now; ++next) {
      const auto& [end, start, work] = ends[next];
      monitor.finished(start, end, work);
    }
    if (auto report = monitor.judge(now)) reports.push_back(*std::move(report));
  }
  return reports;
}

// 600 s of audio in 10 s: real-time factor 60, all the time.
TEST(Monitor, ASteadyNodeIsNormalAndGetsTheNormalQueueOnce) {
  PerformanceMonitor monitor(config_with_work(), 1000, 1, kStart);
  EXPECT_EQ(monitor.queue_limit(), 50);
  const auto reports = play(monitor, {{0s, 180, 10s, 0s, 600}}, 30min);
  ASSERT_EQ(reports.size(), 6u);
  for (const WindowReport& report : reports) {
    EXPECT_EQ(report.node_class, NodeClass::Normal);
    EXPECT_NEAR(report.numbers.rate, 60, 0.01);
    EXPECT_EQ(report.numbers.samples, 30);
    EXPECT_NEAR(report.numbers.busy_share, 1, 0.01);
  }
  ASSERT_EQ(reports[0].decisions.size(), 1u);
  EXPECT_EQ(reports[0].decisions[0].kind, Kind::QueueLimit);
  EXPECT_EQ(reports[0].decisions[0].limit, 100);
  for (size_t i = 1; i < reports.size(); ++i) EXPECT_THAT(reports[i].decisions, IsEmpty());
}

// Factor 60 for ten minutes; then each clip takes four times as long.
TEST(Monitor, ANodeThatSlowsDownIsGivenUpAfterExactlyOneWindow) {
  PerformanceMonitor monitor(config_with_work(), 1000, 1, kStart);
  const auto reports = play(monitor, {{0s, 60, 10s, 0s, 600}, {10min, 60, 20s, 0s, 300}}, 20min);
  ASSERT_EQ(reports.size(), 4u);
  EXPECT_EQ(reports[1].node_class, NodeClass::Normal);
  EXPECT_THAT(reports[1].decisions, IsEmpty());
  EXPECT_EQ(reports[2].node_class, NodeClass::Bad);
  ASSERT_EQ(reports[2].decisions.size(), 1u);
  const MonitorDecision& decision = reports[2].decisions[0];
  EXPECT_EQ(decision.kind, Kind::Act);
  EXPECT_EQ(decision.action, Action::Reallocate);
  EXPECT_EQ(decision.reason,
            "bad node: 15 work a second of busy time, bad is below 20; 15 requests in 300 s, "
            "100 % busy, 1.00 at a time");
}

TEST(Monitor, NothingIsDecidedWithinTheFirstWindow) {
  PerformanceMonitor monitor(config_with_work(), 1000, 1, kStart);
  EXPECT_THAT(play(monitor, {{0s, 14, 20s, 0s, 1}}, 299s), IsEmpty());
  EXPECT_EQ(monitor.node_class(), NodeClass::Unknown);
}

// Five-second requests a minute apart, of factor 60: three windows of five fill samples_min.
TEST(Monitor, IdleTimeDoesNotCount) {
  MonitorConfig config = config_with_work();
  config.samples_min = 15;
  PerformanceMonitor monitor(config, 1000, 1, kStart);
  const auto reports = play(monitor, {{30s, 30, 5s, 55s, 300}}, 15min);
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_THAT(reports[0].not_judged, HasSubstr("5 requests finished"));
  EXPECT_THAT(reports[1].not_judged, HasSubstr("10 requests finished"));
  EXPECT_EQ(reports[2].not_judged, "");
  EXPECT_EQ(reports[2].node_class, NodeClass::Normal);
  EXPECT_NEAR(reports[2].numbers.busy_share, 75.0 / 900, 0.001);
  EXPECT_EQ(reports[2].numbers.length, 15min);
}

// One at a time where four are allowed: the batch that would make it fast never comes together.
TEST(Monitor, AWindowOfLightLoadIsNeitherBadNorSlow) {
  PerformanceMonitor monitor(config_with_work(), 1000, 4, kStart);
  const auto reports = play(monitor, {{0s, 30, 10s, 0s, 100}}, 5min);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_THAT(reports[0].not_judged, HasSubstr("light load: 1.00 requests at a time, 2.00 needed"));
  EXPECT_THAT(reports[0].decisions, IsEmpty());
  EXPECT_EQ(monitor.node_class(), NodeClass::Unknown);
  // The same per request, four at once: 40 a second.
  const auto full = play(monitor, {{5min, 120, 10s, 0s, 100, 4}}, 11min);
  ASSERT_EQ(full.size(), 1u);
  EXPECT_NEAR(full[0].numbers.rate, 40, 0.01);
  EXPECT_NEAR(full[0].numbers.mean_concurrency, 4, 0.01);
  EXPECT_EQ(full[0].node_class, NodeClass::Normal);
}

TEST(Monitor, ANodeTooSlowToFillAWindowIsJudgedWhenItHasEnough) {
  PerformanceMonitor monitor(config_with_work(), 1000, 1, kStart);
  // 75 s a clip of 600 s: factor 8, four a window.
  const auto reports = play(monitor, {{0s, 30, 75s, 0s, 600}}, 15min);
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_NE(reports[1].not_judged, "");
  ASSERT_EQ(reports[2].decisions.size(), 1u);
  EXPECT_EQ(reports[2].decisions[0].kind, Kind::Act);
  EXPECT_NEAR(reports[2].numbers.rate, 8, 0.01);
}

TEST(Monitor, QueueLimitsFollowTheClassWithinTheFrontsBound) {
  PerformanceMonitor monitor(config_with_work(), 120, 1, kStart);
  const auto reports = play(monitor,
                            {{0s, 30, 10s, 0s, 2000},     // 200: fast
                             {5min, 30, 10s, 0s, 300},    // 30: slow
                             {10min, 30, 10s, 0s, 500}},  // 50: normal
                            15min);
  ASSERT_EQ(reports.size(), 3u);
  const NodeClass classes[] = {NodeClass::Fast, NodeClass::Slow, NodeClass::Normal};
  const int limits[] = {120, 50, 100};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(reports[i].node_class, classes[i]) << i;
    ASSERT_EQ(reports[i].decisions.size(), 1u) << i;
    EXPECT_EQ(reports[i].decisions[0].limit, limits[i]) << i;
  }
  EXPECT_EQ(PerformanceMonitor(config_with_work(), 20, 1, kStart).queue_limit(), 20);
}

TEST(Monitor, ConcurrencyGoesOneAWindowBetweenOneAndItsBound) {
  MonitorConfig config = config_with_work();
  config.concurrency_max = 3;
  PerformanceMonitor monitor(config, 50, 2, kStart);
  std::vector<int> seen;
  for (const double work : {900.0, 900.0, 150.0, 150.0, 150.0, 150.0}) {
    const Duration from = 5min * static_cast<int>(seen.size());
    for (int i = 0; i < 30; ++i) {
      const TimePoint start = kStart + from + i * 10s;
      monitor.finished(start, start + 10s, work);
      monitor.finished(start, start + 10s, work);
    }
    monitor.judge(kStart + from + 5min);
    seen.push_back(monitor.concurrency());
  }
  EXPECT_THAT(seen, testing::ElementsAre(3, 3, 2, 1, 1, 1));
}

TEST(Monitor, FastUnderLightLoadDoesNotRaiseTheConcurrency) {
  MonitorConfig config = config_with_work();
  config.concurrency_max = 8;
  PerformanceMonitor monitor(config, 50, 4, kStart);
  play(monitor, {{0s, 30, 10s, 0s, 2000}}, 5min);
  EXPECT_EQ(monitor.node_class(), NodeClass::Fast);
  EXPECT_EQ(monitor.concurrency(), 4);
}

TEST(Monitor, ABadNodeThatIsOnlyReportedIsTreatedAsSlow) {
  MonitorConfig config = config_with_work();
  config.on_bad = Action::Report;
  PerformanceMonitor monitor(config, 1000, 1, kStart);
  play(monitor, {{0s, 30, 10s, 0s, 600}}, 5min);
  EXPECT_EQ(monitor.queue_limit(), 100);
  const auto reports = play(monitor, {{5min, 30, 10s, 0s, 10}}, 10min);
  ASSERT_EQ(reports.size(), 1u);
  ASSERT_EQ(reports[0].decisions.size(), 2u);
  EXPECT_EQ(reports[0].decisions[0].action, Action::Report);
  EXPECT_EQ(reports[0].decisions[1].limit, 50);
}

// Rates of windows that counted, recorded in two runs of the demo on two cores that had other work
// too, a lot in the second.
const std::vector<std::vector<double>> kRecordedCalm{
    {2.07, 1.89, 2.21, 2.02, 1.97, 2.47, 2.26, 2.35, 2.00, 2.03, 2.09},
    {2.33, 2.19, 2.19, 2.17, 2.19, 1.89, 1.93, 2.37, 2.11, 2.13, 2.10, 1.95, 1.93, 2.18},
    {2.21, 2.21, 1.99, 2.30, 2.28, 2.23, 1.68, 1.99, 2.26, 2.17, 1.88, 2.06, 1.97, 2.00, 2.09}};
const std::vector<std::vector<double>> kRecordedCrowded{
    {0.97, 0.77, 0.80, 0.64, 0.72, 0.76, 0.79, 0.83, 0.60, 0.65, 0.93, 0.72, 0.86, 0.79, 0.73,
     0.86},
    {0.83, 0.81, 0.77, 0.70, 0.68, 0.52, 0.86, 0.82, 0.54, 0.68, 0.79, 0.98, 0.80, 0.86, 0.71},
    {0.93, 0.83, 0.74, 0.68, 0.66, 0.65, 1.02, 0.76, 0.69, 0.61, 0.78, 0.85, 0.86, 0.80, 0.67},
    {0.63, 0.72, 0.77, 0.78, 0.85, 0.90, 0.76}};

MonitorConfig limits(double bad_below, double slow_below, double fast_above) {
  MonitorConfig config = config_with_work();
  config.bad_below = bad_below;
  config.slow_below = slow_below;
  config.fast_above = fast_above;
  return config;
}

std::vector<NodeClass> classes(const std::vector<double>& rates, const MonitorConfig& config) {
  std::vector<NodeClass> out;
  std::optional<double> previous;
  for (const double rate : rates) {
    out.push_back(
        next_class(out.empty() ? NodeClass::Unknown : out.back(), previous, rate, config));
    previous = rate;
  }
  return out;
}

int changes(const std::vector<double>& rates, const MonitorConfig& config) {
  int count = 0;
  const std::vector<NodeClass> out = classes(rates, config);
  for (size_t i = 1; i < out.size(); ++i) count += out[i] != out[i - 1] ? 1 : 0;
  return count;
}

struct Changes {
  int with_margin = 0;
  int most = 0;  // of them on one node
  int window_by_window = 0;
};

// Over all places that the limit of slow could have in a recorded node's own range.
Changes count_changes(const std::vector<std::vector<double>>& recorded) {
  Changes out;
  for (const std::vector<double>& rates : recorded) {
    for (const double limit : rates) {
      MonitorConfig config = limits(0, limit, 10);
      const int count = changes(rates, config);
      out.with_margin += count;
      out.most = std::max(out.most, count);
      config.margin = 0;
      out.window_by_window += changes(rates, config);
    }
  }
  return out;
}

TEST(NodeClass, ANodeNearALimitRarelyChangesIt) {
  const Changes calm = count_changes(kRecordedCalm);
  EXPECT_LE(calm.most, 1);
  EXPECT_LE(calm.with_margin * 15, calm.window_by_window);
  const Changes crowded = count_changes(kRecordedCrowded);
  EXPECT_LE(crowded.most, 4);
  EXPECT_LE(crowded.with_margin * 4, crowded.window_by_window);
}

TEST(NodeClass, TwoWindowsInARowOrOneByTwiceTheMarginChangeIt) {
  using enum NodeClass;
  const MonitorConfig config = limits(20, 40, 100);
  using testing::ElementsAre;
  EXPECT_THAT(classes({60, 35, 60, 35, 35, 35}, config),
              ElementsAre(Normal, Normal, Normal, Normal, Slow, Slow));
  EXPECT_THAT(classes({60, 38, 37, 38}, config), ElementsAre(Normal, Normal, Normal, Normal));
  EXPECT_THAT(classes({60, 30, 60}, config), ElementsAre(Normal, Slow, Normal));
  EXPECT_THAT(classes({60, 115, 115, 95, 85, 90, 90}, config),
              ElementsAre(Normal, Normal, Fast, Fast, Fast, Fast, Fast));
  EXPECT_THAT(classes({60, 115, 35, 115}, config), ElementsAre(Normal, Normal, Normal, Normal));
  // The nearer of two windows decides how far it goes, unless one alone goes further.
  EXPECT_THAT(classes({60, 35, 17, 17}, config), ElementsAre(Normal, Normal, Slow, Bad));
  EXPECT_THAT(classes({60, 17, 17}, config), ElementsAre(Normal, Slow, Bad));
  EXPECT_THAT(classes({60, 10}, config), ElementsAre(Normal, Bad));
  EXPECT_THAT(classes({10, 200}, config), ElementsAre(Bad, Fast));
}

// A window of its own: nobody is sent away for it, and the concurrency stays.
TEST(Monitor, OneWindowPastALimitChangesNothing) {
  MonitorConfig config = config_with_work();
  config.concurrency_max = 8;
  PerformanceMonitor monitor(config, 1000, 2, kStart);
  const auto reports = play(monitor,
                            {{0s, 60, 10s, 0s, 300, 2},       // 60: normal
                             {5min, 60, 10s, 0s, 175, 2},     // 35: slow, by 12.5 %
                             {10min, 60, 10s, 0s, 300, 2},    // normal
                             {15min, 120, 10s, 0s, 175, 2}},  // slow, twice
                            25min);
  ASSERT_EQ(reports.size(), 5u);
  EXPECT_EQ(reports[1].node_class, NodeClass::Normal);
  for (int i : {1, 2, 3}) EXPECT_THAT(reports[i].decisions, IsEmpty()) << i;
  EXPECT_EQ(reports[4].node_class, NodeClass::Slow);
  ASSERT_EQ(reports[4].decisions.size(), 2u);
  EXPECT_EQ(reports[4].decisions[0].limit, 50);
  EXPECT_EQ(reports[4].decisions[1].limit, 1);
}

TEST(Monitor, WithoutWorkNothingIsJudged) {
  PerformanceMonitor monitor(MonitorConfig(), 70, 1, kStart);
  EXPECT_THAT(play(monitor, {{0s, 30, 10s, 0s, 1}}, 20min), IsEmpty());
  EXPECT_EQ(monitor.queue_limit(), 70);
}

TEST(Monitor, OverlappingRequestsCountTheirBusyTimeOnce) {
  PerformanceMonitor monitor(config_with_work(), 1000, 3, kStart);
  const auto at = [](int second) { return kStart + std::chrono::seconds(second); };
  monitor.finished(at(10), at(20), 1);
  monitor.finished(at(30), at(40), 1);
  monitor.finished(at(15), at(35), 1);  // joins the two
  monitor.finished(at(50), at(60), 1);
  monitor.finished(at(51), at(52), 1);  // inside
  monitor.finished(at(60), at(70), 1);  // touches
  const WindowNumbers numbers = monitor.current(at(100));
  EXPECT_NEAR(numbers.busy_share, 0.5, 1e-9);
  EXPECT_NEAR(numbers.rate, 6.0 / 50, 1e-9);
  EXPECT_NEAR(numbers.mean_concurrency, 61.0 / 50, 1e-9);
}

struct GpuTrace {
  std::optional<double> temperature;
  std::optional<double> vram_used;
  bool decides;
};

void expect_decisions(const std::vector<GpuTrace>& trace) {
  GpuRule rule(config_with_work());
  for (size_t i = 0; i < trace.size(); ++i) {
    EXPECT_EQ(rule.reading(trace[i].temperature, trace[i].vram_used).has_value(), trace[i].decides)
        << "reading " << i;
  }
}

TEST(GpuRule, ActsOnTheThirdHotReadingInARow) {
  expect_decisions({{79, 0.5, false},
                    {85, 0.5, false},
                    {86, 0.5, false},
                    {80, 0.5, false},  // at the limit is within it
                    {81, 0.5, false},
                    {82, 0.5, false},
                    {83, 0.5, true},
                    {83, 0.5, false}});
}

TEST(GpuRule, MemoryAndTemperatureCountApartAndUnknownIsGood) {
  expect_decisions({{85, 0.99, false},
                    {std::nullopt, 0.99, false},
                    {85, 0.96, true},
                    {85, std::nullopt, false},
                    {85, 0.2, true}});
}

TEST(GpuRule, SaysWhatItSaw) {
  MonitorConfig config = config_with_work();
  config.on_gpu = Action::Reallocate;
  GpuRule rule(config);
  rule.reading(91, 0.1);
  rule.reading(91, 0.1);
  const auto hot = rule.reading(92.4, 0.1);
  ASSERT_TRUE(hot);
  EXPECT_EQ(hot->action, Action::Reallocate);
  EXPECT_EQ(hot->reason, "GPU too hot: 92 °C, 80 allowed, 3 readings in a row");
}

}  // namespace
}  // namespace mesclun::companion
