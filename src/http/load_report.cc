#include "http/load_report.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/text.h"

namespace mesclun {

namespace {

constexpr uint32_t kPlacesMax = 1'000'000;
constexpr std::string_view kUtilization = "application_utilization";
constexpr std::string_view kPlaces = "named_metrics.places";

std::optional<double> parse_number(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(number) || number < 0) return std::nullopt;
  return number;
}

}  // namespace

std::string format_load_report(const LoadReport& report) {
  return fmt::format("{} {}={:.3f}, {}={}", kLoadFormatText, kUtilization, report.utilization,
                     kPlaces, report.places);
}

std::optional<LoadReport> parse_load_report(std::string_view header) {
  if (!header.starts_with(kLoadFormatText)) return std::nullopt;
  header.remove_prefix(kLoadFormatText.size());
  if (!header.starts_with(' ')) return std::nullopt;
  std::optional<double> utilization;
  std::optional<double> places;
  for (const std::string_view field : split(header, ',')) {
    const std::string_view pair = trim_blanks(field);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = pair.substr(0, equals);
    if (name == kUtilization) utilization = parse_number(pair.substr(equals + 1));
    if (name == kPlaces) places = parse_number(pair.substr(equals + 1));
  }
  if (!utilization || !places || *places < 1 || *places > kPlacesMax) return std::nullopt;
  return LoadReport{*utilization, static_cast<uint32_t>(*places)};
}

}  // namespace mesclun
