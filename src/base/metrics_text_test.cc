#include "base/metrics_text.h"

#include <gtest/gtest.h>

namespace mesclun {
namespace {

TEST(MetricsText, IsThePrometheusFormat) {
  MetricsText text("app_");
  text.single("up", "gauge", "Whether.", 1);
  text.family("answers_total", "counter", "Answers.");
  text.value(3, {{"host", "a\"b\\c\nd"}, {"code", "200"}});
  text.value(1e15);
  EXPECT_EQ(text.take(),
            "# HELP app_up Whether.\n# TYPE app_up gauge\napp_up 1\n"
            "# HELP app_answers_total Answers.\n# TYPE app_answers_total counter\n"
            "app_answers_total{host=\"a\\\"b\\\\c\\nd\",code=\"200\"} 3\n"
            "app_answers_total 1000000000000000\n");
}

TEST(MetricsText, AHistogramCountsWhatIsAtOrBelowEachBound) {
  Histogram histogram;
  for (const Duration value : {1ms, 2ms, 31'000ms}) histogram.observe(value);
  EXPECT_EQ(histogram.at_most(0), 1u);
  EXPECT_EQ(histogram.at_most(1), 2u);
  EXPECT_EQ(histogram.at_most(13), 2u);
  EXPECT_EQ(histogram.count(), 3u);
  MetricsText text("");
  text.family("wait", "histogram", "Waits.");
  text.value(histogram, {{"host", "x"}});
  const std::string out = text.take();
  EXPECT_NE(out.find("wait_bucket{host=\"x\",le=\"0.001\"} 1\n"), std::string::npos) << out;
  EXPECT_NE(out.find("wait_bucket{host=\"x\",le=\"+Inf\"} 3\n"), std::string::npos) << out;
  EXPECT_NE(out.find("wait_sum{host=\"x\"} 31.003\n"), std::string::npos) << out;
  EXPECT_NE(out.find("wait_count{host=\"x\"} 3\n"), std::string::npos) << out;
}

}  // namespace
}  // namespace mesclun
