// What an instance says of its load in an answer, to a gateway that asks for it: the text form of the
// Open Request Cost Aggregation load report, which Envoy and gRPC read too. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mesclun {

// Of a request: "TEXT". Of an answer: the report.
inline constexpr std::string_view kLoadFormatHeader = "Endpoint-Load-Metrics-Format";
inline constexpr std::string_view kLoadReportHeader = "Endpoint-Load-Metrics";
inline constexpr std::string_view kLoadFormatText = "TEXT";

struct LoadReport {
  double utilization = 0;  // of its places; above 1 some requests wait there
  uint32_t places = 0;     // requests at once that it can use
  bool operator==(const LoadReport&) const = default;
};

// "TEXT application_utilization=0.500, named_metrics.places=8".
std::string format_load_report(const LoadReport& report);
// Nothing if it does not have both, or is no such report.
std::optional<LoadReport> parse_load_report(std::string_view header);

}  // namespace mesclun
