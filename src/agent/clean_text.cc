#include "agent/clean_text.h"

#include <cstdint>

namespace mesclun::agent {

namespace {

bool is_continuation(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80;
}

// Length of the well-formed character at `at`; 0 if there is none (RFC 3629: no overlong forms, no
// surrogates).
size_t character_length(std::string_view text, size_t at) {
  const auto first = static_cast<uint8_t>(text[at]);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4 || !is_continuation(text, at + 1)) return 0;
  const auto second = static_cast<uint8_t>(text[at + 1]);
  if (first < 0xE0) return 2;
  if (first == 0xE0 && second < 0xA0) return 0;
  if (first == 0xED && second > 0x9F) return 0;
  if (!is_continuation(text, at + 2)) return 0;
  if (first < 0xF0) return 3;
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return is_continuation(text, at + 3) ? 4 : 0;
}

}  // namespace

std::string clean_text(std::string_view text, size_t bytes_max) {
  static constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = character_length(text, at);
    const std::string_view piece = length == 0 ? kReplacement : text.substr(at, length);
    if (out.size() + piece.size() > bytes_max) break;
    out.append(piece);
    at += length == 0 ? 1 : length;
  }
  return out;
}

}  // namespace mesclun::agent
