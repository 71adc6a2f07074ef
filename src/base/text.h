// Words: letter case, blanks, likeness, characters. Case is that of ASCII; other bytes are left
// alone.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mesclun {

std::string lower_case(std::string_view text);
bool iequals(std::string_view a, std::string_view b);
// Without the spaces and tabs around it; a view into `text`.
std::string_view trim_blanks(std::string_view text);
// The same for one of the lines of a text: also without the carriage return of "\r\n".
std::string_view trim_line(std::string_view text);
// The pieces between separators that are not empty; views into `text`.
std::vector<std::string_view> split(std::string_view text, char separator);

// The character at the start of `text`, which is not empty. No bytes: it is not UTF-8 there (cut
// off, an overlong form, a surrogate, beyond U+10FFFF).
struct CodePoint {
  char32_t value = 0;
  size_t bytes = 0;
};
CodePoint first_code_point(std::string_view text);
bool is_utf8(std::string_view text);
// U+FFFD: what stands for bytes that are no character.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";
// At most `bytes_max` bytes, cut at a character, with U+FFFD for NUL and for each byte that is no
// character. JSON carries nothing else, and databases no NUL: one bad byte in a log line must not
// break the session that carries it.
std::string valid_utf8(std::string_view text, size_t bytes_max = std::string_view::npos);

// The least number of letters to insert, delete or replace: for "did you mean ...?". Time and
// memory: the product and the length of the words, so bound them.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace mesclun
