// Words: letter case, blanks, likeness. Case is that of ASCII; other bytes are left alone.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mesclun {

std::string lower_case(std::string_view text);
bool iequals(std::string_view a, std::string_view b);
// Without the spaces and tabs around it; a view into `text`.
std::string_view trim_blanks(std::string_view text);

// The least number of letters to insert, delete or replace: for "did you mean ...?". Time and memory: the product and
// the length of the words, so bound them.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace mesclun
