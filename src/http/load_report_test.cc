#include "http/load_report.h"

#include <gtest/gtest.h>

namespace mesclun {
namespace {

TEST(LoadReport, IsReadAndNothingElse) {
  EXPECT_EQ(parse_load_report(
                "TEXT application_utilization=0.5, cpu_utilization=0.3,named_metrics.places=8"),
            (LoadReport{0.5, 8}));
  for (const std::string_view bad :
       {"", "TEXT", "TEXT ", "JSON {}", "TEXT application_utilization=0.5",
        "TEXT named_metrics.places=8", "TEXT application_utilization=x, named_metrics.places=8",
        "TEXT application_utilization=nan, named_metrics.places=8",
        "TEXT application_utilization=-1, named_metrics.places=8",
        "TEXT application_utilization=1, named_metrics.places=0",
        "TEXT application_utilization=1, named_metrics.places=1e300"}) {
    EXPECT_FALSE(parse_load_report(bad)) << bad;
  }
}

TEST(LoadReport, IsReadAsItWasWritten) {
  const LoadReport report{1.25, 40};
  EXPECT_EQ(parse_load_report(format_load_report(report)), report);
}

}  // namespace
}  // namespace mesclun
