#include "base/metrics_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace mesclun {

void Histogram::observe(Duration value) {
  const double seconds = to_seconds(value);
  ++counts_[static_cast<size_t>(std::ranges::lower_bound(kBounds, seconds) - kBounds.begin())];
  ++count_;
  sum_ += seconds;
}

uint64_t Histogram::at_most(size_t bound) const {
  uint64_t count = 0;
  for (size_t i = 0; i <= bound; ++i) count += counts_[i];
  return count;
}

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = prefix_;
  name_ += name;
  fmt::format_to(std::back_inserter(out_), "# HELP {0} {2}\n# TYPE {0} {1}\n", name_, type, help);
}

void MetricsText::line(std::string_view suffix, Labels labels, std::string_view bound,
                       double value) {
  out_ += name_;
  out_ += suffix;
  char before = '{';
  const auto label = [&](std::string_view name, std::string_view text) {
    out_ += before;
    before = ',';
    out_.append(name).append("=\"");
    for (const char c : text) {
      if (c == '\\' || c == '"') out_ += '\\';
      if (c == '\n') out_ += "\\n";
      if (c != '\n') out_ += c;
    }
    out_ += '"';
  };
  for (const auto& [name, text] : labels) label(name, text);
  if (!bound.empty()) label("le", bound);
  if (before == ',') out_ += '}';
  fmt::format_to(std::back_inserter(out_), " {}\n", value);
}

void MetricsText::value(double value, Labels labels) {
  line("", labels, "", value);
}

void MetricsText::value(const Histogram& histogram, Labels labels) {
  for (size_t i = 0; i < Histogram::kBounds.size(); ++i) {
    line("_bucket", labels, fmt::format("{}", Histogram::kBounds[i]),
         static_cast<double>(histogram.at_most(i)));
  }
  const auto count = static_cast<double>(histogram.count());
  line("_bucket", labels, "+Inf", count);
  line("_sum", labels, "", histogram.sum());
  line("_count", labels, "", count);
}

void MetricsText::single(std::string_view name, std::string_view type, std::string_view help,
                         double number) {
  family(name, type, help);
  value(number);
}

void MetricsText::single(std::string_view name, std::string_view help, const Histogram& histogram) {
  family(name, "histogram", help);
  value(histogram);
}

}  // namespace mesclun
