#include "base/units.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <span>

#include "base/integer.h"

namespace mesclun {

namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

constexpr Unit kTimeUnits[] = {
    {"d", 86'400'000'000'000},
    {"h", 3'600'000'000'000},
    {"m", 60'000'000'000},
    {"s", 1'000'000'000},
    {"ms", 1'000'000},
    {"us", 1'000},
    {"ns", 1},
};
constexpr Unit kByteUnits[] = {
    {"GiB", 1 << 30},  {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1'000'000'000},
    {"MB", 1'000'000}, {"KB", 1'000},    {"B", 1},
};

// A decimal number followed by one of the units, in the smallest unit. At most 2^62.
Result<int64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                const Error& bad) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) return bad;
  const std::string_view name = text.substr(static_cast<size_t>(end - text.data()));
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    const double value = number * static_cast<double>(unit.factor);
    if (value > 0x1p62) return bad;
    return static_cast<int64_t>(std::llround(value));
  }
  return bad;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  if (text == "0") return Duration(0);
  TRY(const int64_t nanos,
      parse_with_unit(text, kTimeUnits,
                      Error::invalid(fmt::format("'{}' is not a duration: write 500ms, 20s, 5m, "
                                                 "2h or 1d",
                                                 text.substr(0, 32)))));
  return Duration(nanos);
}

std::string format_duration(Duration duration) {
  if (duration.count() == 0) return "0s";
  for (const Unit& unit : kTimeUnits) {
    if (duration.count() % unit.factor == 0) {
      return fmt::format("{}{}", duration.count() / unit.factor, unit.name);
    }
  }
  return fmt::format("{}ns", duration.count());
}

Result<uint64_t> parse_bytes(std::string_view text) {
  const Error bad = Error::invalid(
      fmt::format("'{}' is not a size: write 4096, 64KiB, 10MiB or 1GiB", text.substr(0, 32)));
  if (const auto plain = parse_integer<uint64_t>(text)) return *plain;
  TRY(const int64_t bytes, parse_with_unit(text, kByteUnits, bad));
  return static_cast<uint64_t>(bytes);
}

std::string format_bytes(uint64_t bytes) {
  for (const Unit& unit : {kByteUnits[0], kByteUnits[1], kByteUnits[2]}) {
    const uint64_t factor = static_cast<uint64_t>(unit.factor);
    if (bytes >= factor && bytes % factor == 0) {
      return fmt::format("{}{}", bytes / factor, unit.name);
    }
  }
  return fmt::format("{}B", bytes);
}

}  // namespace mesclun
