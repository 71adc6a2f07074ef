// Ranges and lengths, told to JsonProblems with the field's path.
#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace mesclun::api {

// The result points at `parent`: name each step that outlives its expression.
inline JsonPath operator/(const JsonPath& parent, std::string_view key) {
  return {.parent = &parent, .key = key};
}

template <class T>
void check_range(T value, T min, T max, const JsonPath& path, JsonProblems& problems) {
  if (value < min || value > max) {
    problems.add(path, fmt::format("must be between {} and {}", min, max));
  }
}

// Of a text in UTF-8, as JSON's are: the contract counts characters, not bytes.
inline size_t characters(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

inline void check_length(std::string_view text, size_t min, size_t max, const JsonPath& path,
                         JsonProblems& problems) {
  const size_t length = characters(text);
  if (length < min || length > max) {
    problems.add(path, fmt::format("must have {} to {} characters, not {}", min, max, length));
  }
}

inline void check_count(size_t count, size_t min, size_t max, const JsonPath& path,
                        JsonProblems& problems) {
  if (count < min || count > max) {
    problems.add(path, fmt::format("must have {} to {} items, not {}", min, max, count));
  }
}

}  // namespace mesclun::api
