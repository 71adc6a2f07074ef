// Counters in the Prometheus text format (version 0.0.4). Debian's client library comes as a shared
// library only, and the companion is static (docs/adr/0007-companion.md).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace mesclun {

// How many observations were at or below each bound, in seconds.
class Histogram {
 public:
  static constexpr std::array<double, 14> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                     0.25,  0.5,    1,     2.5,  5,     10,   30};
  void observe(Duration value);
  uint64_t count() const { return count_; }
  double sum() const { return sum_; }
  uint64_t at_most(size_t bound) const;

 private:
  std::array<uint64_t, kBounds.size() + 1> counts_{};  // between the bounds
  uint64_t count_ = 0;
  double sum_ = 0;
};

// Writes families one after the other: first family(), then its values.
class MetricsText {
 public:
  using Label = std::pair<std::string_view, std::string_view>;
  using Labels = std::initializer_list<Label>;

  // Of all names: "mesclun_gateway_".
  explicit MetricsText(std::string_view prefix) : prefix_(prefix) {}

  // `type`: counter, gauge or histogram.
  void family(std::string_view name, std::string_view type, std::string_view help);
  void value(double value, Labels labels = {});
  void value(const Histogram& histogram, Labels labels = {});
  // A family of one value.
  void single(std::string_view name, std::string_view type, std::string_view help, double number);
  void single(std::string_view name, std::string_view help, const Histogram& histogram);

  std::string take() { return std::move(out_); }

 private:
  void line(std::string_view suffix, Labels labels, std::string_view bound, double value);

  const std::string prefix_;
  std::string name_;
  std::string out_;
};

}  // namespace mesclun
