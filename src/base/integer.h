// Whole numbers as programs write them: digits, with a '-' before them where the type has a sign.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>

namespace mesclun {

// Nothing where `text` is anything else (blanks, "+1", a unit behind it) or beyond the type.
template <std::integral T>
std::optional<T> parse_integer(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace mesclun
